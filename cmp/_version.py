"""The one place that holds the version."""
version = "0.1.0"
