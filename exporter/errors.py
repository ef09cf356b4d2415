"""Everything that can be refused, as one tree.

    Refusal                      status  code
    ├── Malformed                400     malformed            the body or the query can't be read
    ├── Unauthorized             401     unauthorized
    ├── Forbidden                403     forbidden
    ├── NotFound                 404     not_found
    ├── NotAllowed               405     method_not_allowed
    ├── Conflict                 409     (named by the raiser) the state does not allow it
    │   └── LimitReached         409     (named by the raiser) only a limit stands in the way
    ├── TooLarge                 413     too_large
    ├── UnsupportedMedia         415     unsupported_media_type
    ├── Invalid                  422     invalid              a value is not what was expected
    ├── LineStopped              423     line_stopped         an open andon stands in the way
    └── Unavailable              503     unavailable          may be tried again later
    StartupError                         the service can't start; one line that says what to do

`rank` orders the guards of one command: state first, then the stopped line, then limits.
"""

from typing import Any


class Refusal(Exception):
    """A request that was not carried out and changed nothing. `tally` names a process counter and its labels."""

    status = 500
    code = "internal"
    rank = 0

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        field: str | None = None,
        details: dict[str, Any] | None = None,
        tally: tuple[str, tuple[str, ...]] | None = None,
    ):
        super().__init__(message)
        self.message = message
        self.code = code or self.code
        self.field = field
        self.details = details or {}
        self.tally = tally

    def document(self) -> dict[str, Any]:
        """The one shape of every error: {"error": {code, message, field, details}}."""
        error = {"code": self.code, "message": self.message, "field": self.field, "details": self.details}
        return {"error": error}


class Malformed(Refusal):
    status, code = 400, "malformed"


class Unauthorized(Refusal):
    status, code = 401, "unauthorized"


class Forbidden(Refusal):
    status, code = 403, "forbidden"


class NotFound(Refusal):
    status, code = 404, "not_found"


class NotAllowed(Refusal):
    status, code = 405, "method_not_allowed"


class Conflict(Refusal):
    status, code = 409, "conflict"


class LimitReached(Conflict):
    rank = 2


class TooLarge(Refusal):
    status, code = 413, "too_large"


class UnsupportedMedia(Refusal):
    status, code = 415, "unsupported_media_type"


class Invalid(Refusal):
    status, code = 422, "invalid"


class LineStopped(Refusal):
    status, code, rank = 423, "line_stopped", 1


class Unavailable(Refusal):
    """`retry_after` in seconds, sent as the header of that name."""

    status, code = 503, "unavailable"

    def __init__(self, message: str, *, retry_after: int = 1, **kwargs: Any):
        super().__init__(message, **kwargs)
        self.retry_after = retry_after


class StartupError(Exception):
    """Why the service can't start, in one line that says what to do."""
