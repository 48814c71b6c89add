"""What a user can mend is told apart from our own bugs."""


class InputError(ValueError):
    """A file, value or combination that the user gave cannot be used.

    The message is one line that names the culprit and the mend; the scripts print it alone.
    """
