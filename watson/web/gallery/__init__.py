"""The gallery: a job's pictures with their masks, looked for by category, score, area and uncertainty."""
