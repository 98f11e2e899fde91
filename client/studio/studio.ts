/** The page at `/`: puts its parts together and binds them to the document. */
import { ApiClient } from "./api-client.ts";
import { ConfirmDialog } from "./confirm-dialog.ts";
import { describeMissingAbility } from "./describe-media-problem.ts";
import { DevicePicker } from "./device-picker.ts";
import { requireElement } from "./element.ts";
import { LeftUploadsView } from "./left-uploads-view.ts";
import { LevelMeter } from "./level-meter.ts";
import { NoticeBoard } from "./notice-board.ts";
import { ProgressView } from "./progress-view.ts";
import { RecordingDetails } from "./recording-details.ts";
import { RecordingsList } from "./recordings-list.ts";
import { recallName } from "./remembered-name.ts";
import { ScreenShare } from "./screen-share.ts";
import { Stage } from "./stage.ts";
import { StudioControls } from "./studio-controls.ts";
import { StudioPage } from "./studio-page.ts";

const api = new ApiClient((path, init) => fetch(path, init));
const notices = new NoticeBoard(requireElement("notices", HTMLElement));
const controls = new StudioControls();
const confirmDialog = new ConfirmDialog();
const list = new RecordingsList(api, confirmDialog, {
  heading: requireElement("recordings-heading", HTMLElement),
  list: requireElement("recordings-list", HTMLElement),
  empty: requireElement("recordings-empty", HTMLElement),
  trouble: requireElement("recordings-trouble", HTMLElement),
  loadMore: requireElement("load-more", HTMLButtonElement),
});

// The last resort: a fault of this page itself must not look like nothing happened.
addEventListener("unhandledrejection", ({ reason }) => {
  const words = reason instanceof Error ? reason.message : String(reason);
  const sentence = `Something in this page failed (${words}). Stop a running recording, then reload the page.`;
  notices.show("fault", { sentence });
});

// Before anything is waited for: later it could land between the letters that somebody types.
controls.suggestName(recallName(() => localStorage));
list.start();
new LeftUploadsView(confirmDialog, notices, () => void list.refresh()).start();

const missing = describeMissingAbility(
  {
    isSecureContext,
    // Insecure pages have no `mediaDevices`, whatever the type says.
    hasMediaDevices: "mediaDevices" in navigator,
    hasMediaRecorder: typeof MediaRecorder !== "undefined",
  },
  location.origin,
);
if (missing === null) await startStudio(navigator.mediaDevices);
else notices.show("browser", { sentence: missing });

async function startStudio(devices: MediaDevices): Promise<void> {
  const picker = new DevicePicker(
    devices,
    {
      camera: requireElement("camera", HTMLSelectElement),
      microphone: requireElement("microphone", HTMLSelectElement),
    },
    { choiceChanged: () => void page.followChoice() },
  );
  const page: StudioPage = new StudioPage({
    api,
    controls,
    details: new RecordingDetails(requireElement("result-details", HTMLElement), api, {
      stateChanged: () => void list.refresh(),
    }),
    level: new LevelMeter({
      row: requireElement("level-row", HTMLElement),
      meter: requireElement("level", HTMLElement),
      fill: requireElement("level-fill", HTMLElement),
      silenceHint: requireElement("level-hint", HTMLElement),
    }),
    list,
    notices,
    picker,
    progress: new ProgressView(),
    screen: new ScreenShare(devices, () => void page.screenEnded()),
    stage: new Stage(),
  });
  // The page's buttons are disabled until here: before, the lists hold no choice.
  await picker.start();
  controls.start({
    openDevices: () => void page.openDevices(),
    record: () => void page.record(),
    togglePause: () => page.togglePause(),
    stop: () => void page.stop(),
    toggleScreen: () => void page.toggleScreen(),
    startOver: () => void page.startOver(),
  });
  if (!("getDisplayMedia" in devices)) controls.hideShare();
  if (await isPermitted()) await page.openDevices();
}

/** Whether the devices can be opened without a question: then nobody has to press for the preview. */
async function isPermitted(): Promise<boolean> {
  try {
    const answers = await Promise.all([
      navigator.permissions.query({ name: "camera" }),
      navigator.permissions.query({ name: "microphone" }),
    ]);
    return answers.every(({ state }) => state === "granted");
  } catch (error) {
    // Firefox does not know these names and says so with a TypeError.
    if (error instanceof TypeError) return false;
    throw error;
  }
}
