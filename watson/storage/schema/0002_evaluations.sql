-- How versions of models did on labelled data. models.event is '' from now on where the version was withdrawn.

CREATE TABLE IF NOT EXISTS evaluations (
    name TEXT NOT NULL,
    model_version TEXT NOT NULL,
    dataset TEXT NOT NULL,
    revision BLOB NOT NULL,
    event TEXT NOT NULL,
    PRIMARY KEY (name, model_version, dataset)
);
