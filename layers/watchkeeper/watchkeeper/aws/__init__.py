"""The only boto3 calls of the use cases, one noun to a module."""
