"""What the tests of the documentation raise."""


class Wrong(Exception):
    """What is wrong, in words for whoever wrote the page."""
