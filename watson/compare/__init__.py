"""Two jobs over the same pictures: what differs, and which pictures are most worth a person's time."""
