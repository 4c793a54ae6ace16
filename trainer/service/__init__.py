"""The training service: HTTP in front of the store and the scheduler."""

VERSION = "0.1.0"
