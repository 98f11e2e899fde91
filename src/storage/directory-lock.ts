import { Database, SQLiteError } from "bun:sqlite";
import { AppError } from "../recording/errors.ts";

/** Another process has the lock. */
export class DirectoryInUseError extends AppError {
  readonly code = "storage-failed";
  constructor(directory: string) {
    super(`${directory} is in use by another server.`);
  }
}

/**
 * Keeps a second server away from a directory: each would cut off, as torn, what the other is just
 * writing. The lock is a transaction on an SQLite file, because the system lets go of its locks by
 * itself when a process dies, also by SIGKILL.
 */
export class DirectoryLock {
  readonly #database: Database;

  private constructor(database: Database) {
    this.#database = database;
  }

  /**
   * Takes the lock at once or not at all.
   *
   * @param directory only for the error's words
   * @throws DirectoryInUseError
   */
  static take(lockPath: string, directory: string): DirectoryLock {
    const database = new Database(lockPath, { create: true });
    try {
      // Nothing is ever written, so there is nothing to keep a journal of.
      database.run("PRAGMA journal_mode = OFF");
      database.run("BEGIN EXCLUSIVE");
    } catch (error) {
      database.close();
      if (error instanceof SQLiteError && error.code === "SQLITE_BUSY") {
        throw new DirectoryInUseError(directory);
      }
      throw error;
    }
    return new DirectoryLock(database);
  }

  /** Lets go of the lock. */
  release(): void {
    this.#database.close();
  }
}
