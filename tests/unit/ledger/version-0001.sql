-- The first version of the ledger, as SQLite keeps it: what an upgrade has to start from.
CREATE TABLE ledger_version (
    version_num VARCHAR(32) NOT NULL, 
    CONSTRAINT ledger_version_pkc PRIMARY KEY (version_num)
);
CREATE TABLE runs (
    id VARCHAR(32) NOT NULL, 
    started_at DATETIME NOT NULL, 
    finished_at DATETIME, 
    plan_hash VARCHAR(64) NOT NULL, 
    settings JSON NOT NULL, 
    stopped TEXT NOT NULL, 
    host TEXT NOT NULL, 
    pid INTEGER NOT NULL, 
    CONSTRAINT pk_runs PRIMARY KEY (id)
);
CREATE INDEX runs_by_start ON runs (started_at);
CREATE TABLE run_sources (
    run VARCHAR(32) NOT NULL, 
    position INTEGER NOT NULL, 
    name TEXT NOT NULL, 
    path TEXT, 
    sha256 VARCHAR(64) NOT NULL, 
    size BIGINT NOT NULL, 
    CONSTRAINT pk_run_sources PRIMARY KEY (run, position), 
    CONSTRAINT fk_run_sources_run FOREIGN KEY(run) REFERENCES runs (id)
);
CREATE TABLE run_rows (
    run VARCHAR(32) NOT NULL, 
    source INTEGER NOT NULL, 
    "row" INTEGER NOT NULL, 
    status VARCHAR(20) NOT NULL, 
    "key" VARCHAR(64), 
    codes TEXT NOT NULL, 
    CONSTRAINT pk_run_rows PRIMARY KEY (run, source, "row"), 
    CONSTRAINT fk_run_rows_run FOREIGN KEY(run) REFERENCES runs (id)
)
 WITHOUT ROWID

;
CREATE TABLE submissions (
    "key" VARCHAR(64) NOT NULL, 
    run VARCHAR(32) NOT NULL, 
    source INTEGER NOT NULL, 
    "row" INTEGER NOT NULL, 
    campaign TEXT NOT NULL, 
    external_id TEXT NOT NULL, 
    person VARCHAR(64) NOT NULL, 
    masked TEXT NOT NULL, 
    body_hash VARCHAR(64) NOT NULL, 
    state VARCHAR(20) NOT NULL, 
    conversation_id TEXT, 
    status INTEGER, 
    code TEXT NOT NULL, 
    message TEXT NOT NULL, 
    attempts INTEGER NOT NULL, 
    planned_at DATETIME NOT NULL, 
    sent_at DATETIME, 
    settled_at DATETIME, 
    CONSTRAINT pk_submissions PRIMARY KEY ("key"), 
    CONSTRAINT fk_submissions_run FOREIGN KEY(run) REFERENCES runs (id), 
    CONSTRAINT ck_submissions_state CHECK (state IN ('created', 'doubtful', 'duplicate', 'planned', 'rejected', 'sending', 'unsent'))
);
CREATE INDEX submissions_open ON submissions (state) WHERE state IN ('doubtful', 'sending');
CREATE INDEX submissions_reached ON submissions (person) WHERE state IN ('created', 'doubtful', 'duplicate', 'sending');
CREATE TABLE attempts (
    "key" VARCHAR(64) NOT NULL, 
    run VARCHAR(32) NOT NULL, 
    number INTEGER NOT NULL, 
    started_at DATETIME NOT NULL, 
    duration_s FLOAT, 
    status INTEGER, 
    code TEXT NOT NULL, 
    CONSTRAINT pk_attempts PRIMARY KEY ("key", run, number), 
    CONSTRAINT fk_attempts_key FOREIGN KEY("key") REFERENCES submissions ("key"), 
    CONSTRAINT fk_attempts_run FOREIGN KEY(run) REFERENCES runs (id)
)
 WITHOUT ROWID

;
INSERT INTO ledger_version VALUES ('0001');
