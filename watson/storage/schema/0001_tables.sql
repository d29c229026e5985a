-- revision: 8 bytes of time, then 8 of a digest; of two writes of one row the one with the greater revision stays.
-- event: {"version": n, "data": {the event's JSON}}.

CREATE TABLE IF NOT EXISTS jobs (
    job TEXT PRIMARY KEY,
    revision BLOB,              -- of event; NULL while only the submission is known
    event TEXT,
    submitted_at INTEGER        -- microseconds since 1970
);

CREATE TABLE IF NOT EXISTS job_counts (
    job TEXT NOT NULL,
    stage TEXT NOT NULL,
    partition INTEGER NOT NULL,
    time INTEGER NOT NULL,      -- microseconds since 1970
    count INTEGER NOT NULL,
    PRIMARY KEY (job, stage, partition)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS images (
    job TEXT NOT NULL,
    image_key BLOB NOT NULL,    -- 16 bytes
    revision BLOB NOT NULL,
    event TEXT NOT NULL,
    PRIMARY KEY (job, image_key)
);

-- With a rowid on purpose: the index of the primary key alone then answers how many masks each category has.
CREATE TABLE IF NOT EXISTS masks (
    job TEXT NOT NULL,
    category TEXT NOT NULL,
    image_key BLOB NOT NULL,
    mask_index INTEGER NOT NULL,
    mask TEXT NOT NULL,         -- JSON of MaskRecord
    PRIMARY KEY (job, category, image_key, mask_index)
);

CREATE INDEX IF NOT EXISTS masks_of_image ON masks (job, image_key);

CREATE TABLE IF NOT EXISTS dead_letters (
    job TEXT NOT NULL,          -- '-' for none
    id BLOB NOT NULL,           -- 16 bytes, of the event
    reason TEXT NOT NULL,
    resolved INTEGER NOT NULL,  -- 0 or 1
    revision BLOB NOT NULL,
    event TEXT NOT NULL,
    PRIMARY KEY (job, id)
);

CREATE INDEX IF NOT EXISTS dead_letters_by_reason ON dead_letters (job, reason, id);

CREATE TABLE IF NOT EXISTS models (
    name TEXT NOT NULL,
    model_version TEXT NOT NULL,
    revision BLOB NOT NULL,
    event TEXT NOT NULL,
    PRIMARY KEY (name, model_version)
);
