import type { Recording, Track } from "../../src/contract/recordings.ts";
import type { TrackTimeline } from "../../src/contract/timeline.ts";
import type { Export } from "../../src/contract/exports.ts";
import { CompatibleOffer } from "./compatible-offer.ts";
import { describeCompatibility } from "./describe-compatibility.ts";
import { zipPath, type ApiClient } from "./api-client.ts";
import {
  describeOutcome,
  finalizationProgress,
  isFinal,
  mediaFacts,
  shownName,
  stateBadge,
  trackBadge,
} from "./describe-recording.ts";
import { describeGaps, describePlace } from "./describe-timeline.ts";
import { describeRequestProblem } from "./describe-request-problem.ts";
import { downloadLink } from "./download-link.ts";
import { element, setText } from "./element.ts";
import { ExportsView } from "./exports-view.ts";
import { LivePanel } from "./live-panel.ts";
import { RecordingWatch } from "./recording-watch.ts";
import { trackPoster } from "./track-poster.ts";

/** What the view tells; it holds on to no owner. */
export interface RecordingDetailsEvents {
  /** The recording came to another state. */
  readonly stateChanged?: (recording: Recording) => void;
}

interface OwnedTrack {
  readonly participantId: string;
  readonly track: Track;
}

/**
 * One recording: how far its MP4s are, then the player, the verdicts and the downloads. Follows the
 * recording by itself from `show` to `close`.
 */
export class RecordingDetails {
  readonly #api: ApiClient;
  readonly #events: RecordingDetailsEvents;
  readonly #watch: RecordingWatch;
  readonly #player = element("video", { attributes: { controls: "", playsinline: "" } });
  readonly #live = new LivePanel();
  readonly #outcome = element("p", { attributes: { role: "status", "data-testid": "outcome" } });
  readonly #bar = element("progress", { attributes: { "aria-label": "Making the MP4", max: "1" } });
  readonly #working = element("div", { class: "working" }, [this.#outcome, this.#bar]);
  readonly #tracks = element("ul", { class: "tracks", attributes: { "aria-label": "Tracks" } });
  readonly #actions = element("div", { class: "actions" });
  readonly #trouble = element("p", { class: "trouble", attributes: { role: "alert" } });
  readonly #exports: ExportsView;
  #seenExports: readonly Export[] = [];
  #offers: readonly CompatibleOffer[] = [];
  #recording: Recording | null = null;
  /** What is drawn, so that polling does not take the keyboard's focus from a button. */
  #drawn = "";
  #playing: string | null = null;
  /** Whether the first running track is to be watched as soon as it is known. */
  #wantsLive = false;

  constructor(container: Element, api: ApiClient, events: RecordingDetailsEvents = {}) {
    this.#api = api;
    this.#events = events;
    this.#watch = new RecordingWatch(api, {
      recording: (recording) => this.#update(recording),
      trouble: (error) => this.#tell(describeRequestProblem(error, "The recording is not shown")),
    });
    this.#exports = new ExportsView(api, {
      seen: (exports) => {
        this.#seenExports = exports;
        for (const offer of this.#offers) offer.update(exports);
      },
    });
    this.#player.hidden = true;
    this.#tell(null);
    const parts = [
      this.#working,
      this.#live.element,
      this.#player,
      this.#tracks,
      this.#actions,
      this.#exports.element,
      this.#trouble,
    ];
    container.replaceChildren(element("div", { class: "details" }, parts));
  }

  /** Shows this recording and follows it. */
  show(recordingId: string): void {
    setText(this.#outcome, "Loading …");
    this.#bar.hidden = true;
    this.#watch.start(recordingId);
  }

  /** Shows this recording with its first running track. */
  showLive(recordingId: string): void {
    this.#wantsLive = true;
    this.show(recordingId);
  }

  /** Stops following and playing, and empties the view. */
  close(): void {
    this.#watch.stop();
    this.#recording = null;
    this.#drawn = "";
    this.#play(null);
    this.#wantsLive = false;
    this.#live.watch(null);
    this.#tracks.replaceChildren();
    this.#actions.replaceChildren();
    this.#exports.close();
    this.#offers = [];
    this.#tell(null);
  }

  #tell(sentence: string | null): void {
    this.#trouble.hidden = sentence === null;
    setText(this.#trouble, sentence ?? "");
  }

  #update(recording: Recording): void {
    const isNewState = this.#recording?.state !== recording.state;
    this.#recording = recording;
    this.#tell(null);
    const outcome = describeOutcome(recording);
    setText(this.#outcome, outcome);
    this.#working.hidden = outcome === "";
    this.#bar.hidden = recording.state !== "finalizing";
    const progress = finalizationProgress(recording);
    if (progress === null) this.#bar.removeAttribute("value");
    else this.#bar.value = progress;

    // The progress is the bar's, and segments are not drawn; all else changes rarely.
    const drawn = JSON.stringify(recording, (key, value: unknown) =>
      key === "progress" || key === "segments" ? undefined : value,
    );
    if (drawn !== this.#drawn) {
      this.#drawn = drawn;
      this.#draw(recording);
    }
    if (isNewState) this.#events.stateChanged?.(recording);
  }

  #draw(recording: Recording): void {
    const owned = recording.participants.flatMap(({ participantId, tracks }) =>
      tracks.map((track) => ({ participantId, track })),
    );
    const running = owned.filter(({ track }) => track.state === "recording");
    if (running.length === 0 || recording.state !== "recording") this.#live.watch(null);
    else if (this.#wantsLive && running[0]) this.#watchLive(running[0]);
    const playable = owned.filter(({ track }) => track.media !== null);
    const current = playable.find(({ track }) => track.media?.publishedAt === this.#playing);
    this.#play(current ?? playable[0] ?? null);
    this.#tracks.hidden = owned.length === 0;
    const canExport = playable.length > 0 && ["ready", "failed"].includes(recording.state);
    this.#offers = [];
    const rows = owned.map((each) => {
      const row = this.#trackRow(each, playable.length > 1);
      if (canExport) this.#offerCompatible(each, row);
      return row;
    });
    this.#tracks.replaceChildren(...rows);
    const actions: Node[] = [];
    if (playable.length > 0 && recording.state !== "recording") {
      actions.push(downloadLink(zipPath(recording.recordingId), "Download everything (ZIP)"));
    }
    if (isFinal(recording) && owned.some(({ track }) => track.state === "failed")) {
      const onClick = (event: Event) => void this.#retry(recording.recordingId, event);
      const attributes = { type: "button" };
      actions.unshift(
        element("button", { class: "button", text: "Try again", attributes, onClick }),
      );
    }
    this.#actions.replaceChildren(...actions);
    this.#actions.hidden = actions.length === 0;
    if (canExport) this.#exports.show(recording.recordingId);
    else this.#exports.close();
  }

  #trackRow(owned: OwnedTrack, canChoose: boolean): HTMLElement {
    const { track, participantId } = owned;
    const badge = trackBadge(track);
    const words = element("div", { class: "track-words" }, [
      element("p", { class: "track-title" }, [
        element("span", { text: `${participantId}: ${track.trackId}` }),
        element("span", {
          class: "badge",
          text: badge.text,
          attributes: { "data-tone": badge.tone },
        }),
      ]),
    ]);
    if (track.media) {
      words.append(element("p", { class: "track-facts", text: mediaFacts(track.media) }));
    }
    if (track.timeline) {
      words.append(element("p", { class: "track-facts", text: describePlace(track.timeline) }));
      const gaps = gapList(track.timeline);
      if (gaps) words.append(gaps);
    }
    if (track.reason !== null) {
      words.append(element("p", { class: "track-reason", text: track.reason }));
    }
    const actions = element("div", { class: "actions" });
    if (track.state === "recording") actions.append(this.#liveButton(owned));
    if (track.media && canChoose) {
      const isPlaying = track.media.publishedAt === this.#playing;
      actions.append(
        element("button", {
          class: "button quiet",
          text: "Watch",
          attributes: {
            type: "button",
            "aria-pressed": String(isPlaying),
            "aria-label": `Watch ${participantId}: ${track.trackId}`,
          },
          onClick: () => this.#choose(owned),
        }),
      );
    }
    if (track.media) {
      const link = downloadLink(track.media.url, "Download MP4");
      link.setAttribute("aria-label", `Download MP4 of ${participantId}: ${track.trackId}`);
      actions.append(link);
    }
    const attributes = { "data-testid": "track" };
    const row = element("li", { class: "track", attributes }, [words]);
    if (track.posterUrl !== null) row.prepend(trackPoster(track.posterUrl));
    if (actions.hasChildNodes()) row.append(actions);
    return row;
  }

  /** Says of an MP4 that not everything plays it, and offers one that is. */
  #offerCompatible({ participantId, track }: OwnedTrack, row: Element): void {
    const reason = track.media ? describeCompatibility(track.media) : null;
    if (reason === null) return;
    const { trackId } = track;
    const onAsk = (): void => this.#exports.request("compatible");
    const offer = new CompatibleOffer({ participantId, trackId }, reason, onAsk);
    offer.update(this.#seenExports);
    this.#offers = [...this.#offers, offer];
    row.append(offer.element);
  }

  #liveButton(owned: OwnedTrack): HTMLElement {
    const { participantId, track } = owned;
    const isWatched = this.#live.shows({ participantId, trackId: track.trackId });
    return element("button", {
      class: "button quiet",
      text: "Watch live",
      attributes: {
        type: "button",
        "aria-pressed": String(isWatched),
        "aria-label": `Watch live ${participantId}: ${track.trackId}`,
      },
      onClick: () => {
        if (isWatched) this.#live.watch(null);
        else this.#watchLive(owned);
        if (this.#recording) this.#draw(this.#recording);
      },
    });
  }

  #watchLive({ participantId, track }: OwnedTrack): void {
    this.#wantsLive = false;
    if (!this.#recording) return;
    const { recordingId } = this.#recording;
    this.#live.watch({ recordingId, participantId, trackId: track.trackId });
  }

  #choose(owned: OwnedTrack): void {
    this.#play(owned);
    if (this.#recording) this.#draw(this.#recording);
    this.#player.focus();
  }

  #play(owned: OwnedTrack | null): void {
    const media = owned?.track.media ?? null;
    if (media?.publishedAt === this.#playing) return;
    this.#playing = media?.publishedAt ?? null;
    this.#player.hidden = media === null;
    if (!owned || !media) {
      this.#player.removeAttribute("src");
      this.#player.load();
      return;
    }
    const name = this.#recording ? shownName(this.#recording) : "";
    this.#player.setAttribute(
      "aria-label",
      `${name}, ${owned.participantId}: ${owned.track.trackId}`,
    );
    this.#player.classList.toggle("sound-only", media.videoCodec === null);
    this.#player.src = media.url;
  }

  async #retry(recordingId: string, event: Event): Promise<void> {
    const button = event.currentTarget;
    if (button instanceof HTMLButtonElement) button.disabled = true;
    try {
      await this.#api.retry(recordingId);
      this.show(recordingId);
    } catch (error) {
      if (button instanceof HTMLButtonElement) button.disabled = false;
      this.#tell(describeRequestProblem(error, "The MP4 is not made again"));
    }
  }
}

/** More gaps than these are shown when they are asked for. */
const GAPS_OPEN_MAX = 5;

/** What is missing of a track; null when nothing is. */
function gapList(timeline: TrackTimeline): HTMLElement | null {
  const gaps = describeGaps(timeline);
  if (gaps.length === 0) return null;
  const summary = gaps.length === 1 ? "1 gap" : `${gaps.length} gaps`;
  const rows = gaps.map(({ when, what }) =>
    element("li", {}, [
      element("span", { class: "gap-time", text: when }),
      element("span", { text: what }),
    ]),
  );
  return element(
    "details",
    {
      class: "track-gaps",
      attributes: {
        "data-testid": "gaps",
        ...(gaps.length <= GAPS_OPEN_MAX ? { open: "" } : {}),
      },
    },
    [element("summary", { text: summary }), element("ul", {}, rows)],
  );
}

/** The badge of a state as an element. */
export function stateBadgeElement(state: Recording["state"]): HTMLElement {
  const badge = stateBadge(state);
  return element("span", {
    class: "badge",
    text: badge.text,
    attributes: { "data-tone": badge.tone },
  });
}
