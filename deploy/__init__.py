"""What it takes to run Watson on a cluster."""
