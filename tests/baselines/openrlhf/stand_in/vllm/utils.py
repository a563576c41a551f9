"""Names of requests."""


def random_uuid():
    return "request"
