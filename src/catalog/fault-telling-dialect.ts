import { SQLiteError } from "bun:sqlite";
import type {
  DatabaseConnection,
  DatabaseIntrospector,
  Dialect,
  DialectAdapter,
  Driver,
  Kysely,
  QueryCompiler,
} from "kysely";
import { StorageFailedError, StorageFullError } from "../recording/errors.ts";

/**
 * Makes an SQLite dialect tell a full or failing disk in the words of the core, so that it is
 * answered like that of a chunk. Other errors pass as they are: they are bugs.
 */
export class FaultTellingDialect implements Dialect {
  readonly #dialect: Dialect;

  constructor(dialect: Dialect) {
    this.#dialect = dialect;
  }

  createDriver(): Driver {
    const driver = this.#dialect.createDriver();
    const acquireConnection = driver.acquireConnection.bind(driver);
    driver.acquireConnection = async () => tellingFaults(await acquireConnection());
    return driver;
  }

  createQueryCompiler(): QueryCompiler {
    return this.#dialect.createQueryCompiler();
  }

  createAdapter(): DialectAdapter {
    return this.#dialect.createAdapter();
  }

  // oxlint-disable-next-line typescript/no-explicit-any -- as Kysely declares it
  createIntrospector(db: Kysely<any>): DatabaseIntrospector {
    return this.#dialect.createIntrospector(db);
  }
}

function tellingFaults(connection: DatabaseConnection): DatabaseConnection {
  return {
    executeQuery: async (query) => {
      try {
        return await connection.executeQuery(query);
      } catch (error) {
        throw catalogueFault(error);
      }
    },
    streamQuery: (query, chunkSize) => connection.streamQuery(query, chunkSize),
  };
}

/** The primary codes are those of https://www.sqlite.org/rescode.html; Bun gives them as text. */
function catalogueFault(error: unknown): unknown {
  if (!(error instanceof SQLiteError)) return error;
  const code = error.code ?? "";
  if (code === "SQLITE_FULL") {
    return new StorageFullError(`No space is left for the catalogue (${code}).`, { cause: error });
  }
  if (/^SQLITE_(IOERR|CANTOPEN|READONLY|CORRUPT|NOTADB)/.test(code)) {
    return new StorageFailedError(`The disk failed under the catalogue (${code}).`, {
      cause: error,
    });
  }
  return error;
}
