"""rtp: an event pipeline on AWS, from deploy to destroy. Ships in the Lambda zip, so it holds the version alone."""

__version__ = "0.1.0"
