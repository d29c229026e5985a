"""The whole line on real servers under a seeded schedule of faults, judged by an oracle that does not trust Watson.

`make chaos SEED=7` runs one schedule, `make chaos SEEDS=1-20` twenty; `make test` runs a short form.

    pictures  what is in the sources, and so what must come out
    schedule  seed → faults; pure
    faults    the table of faults, and what each does
    scene     the servers, the workers and a gateway before S3
    crew      the workers, restarted when they die
    evidence  reads Kafka, Cassandra and S3 by their own clients
    oracle    compares evidence with what must be; returns findings
    mutants   Watson with a guarantee taken out: the oracle must notice
"""
