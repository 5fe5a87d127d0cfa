"""The codes of problem documents, with the texts for errors that bring none of their own."""

from django.utils.translation import gettext_noop as _

CONTENT_TYPE = "application/problem+json"

# By code: title, detail.
TEXTS: dict[str, tuple[str, str]] = {
    "bad_request": (_("Bad request"), _("The request cannot be understood.")),
    "malformed_body": (_("Malformed body"), _("The body is not what its content type says.")),
    "not_authenticated": (_("Not authenticated"), _("Log in, or send a valid access token.")),
    "reauthentication_required": (
        _("Confirm that it is you"),
        _("You are logged in, but for this you must prove again who you are; `data.flows` says how."),
    ),
    "token_expired": (_("Token expired"), _("The access token has expired; refresh it.")),
    "session_revoked": (_("Session ended"), _("This session has ended; log in again.")),
    "insufficient_balance": (_("Insufficient balance"), _("The balance does not cover this request.")),
    "forbidden": (_("Forbidden"), _("You may not do this.")),
    "csrf_failed": (_("Forbidden"), _("The CSRF token is missing or wrong.")),
    "not_found": (_("Not found"), _("There is nothing here that you may see.")),
    "method_not_allowed": (_("Method not allowed"), _("This path does not know that method.")),
    "not_acceptable": (_("Not acceptable"), _("The answer cannot be given in a format that you accept.")),
    "conflict": (_("Conflict"), _("The object is not in a state that allows this.")),
    "conversation_busy": (_("Conversation busy"), _("Another run of this conversation has not ended.")),
    "approval_pending": (_("Approval pending"), _("The run waits for an approval.")),
    "idempotency_in_progress": (_("Conflict"), _("A request with this idempotency key is still running.")),
    "request_timeout": (_("Request too slow"), _("The request arrived too slowly.")),
    "body_too_large": (_("Body too large"), _("The body is larger than this path takes.")),
    "file_too_large": (_("File too large"), _("The file is larger than allowed.")),
    "storage_quota_exceeded": (_("Storage full"), _("The workspace has as many documents as it may have.")),
    "uri_too_long": (_("Address too long"), _("The address is longer than this server takes.")),
    "headers_too_large": (_("Headers too large"), _("The headers are larger than this server takes.")),
    "unsupported_media_type": (_("Unsupported media type"), _("This path does not take that content type.")),
    "unsupported_file": (_("Unsupported file"), _("Only PDF, DOCX, HTML, Markdown and plain text can be read.")),
    "precondition_failed": (_("Precondition failed"), _("This has changed since you read it.")),
    "range_not_satisfiable": (_("Range not satisfiable"), _("The file is shorter than the part that you asked for.")),
    "validation_error": (_("Invalid fields"), _("One or more fields are not valid.")),
    "idempotency_key_reused": (
        _("Idempotency key reused"),
        _("This idempotency key was used with another request."),
    ),
    "model_unpriced": (_("Model without a price"), _("This model has no price, so it cannot be used.")),
    "context_too_long": (_("Context too long"), _("The conversation does not fit into the model's context.")),
    "rate_limited": (_("Too many requests"), _("Too many requests; wait before the next one.")),
    "spend_limit_reached": (_("Spend limit reached"), _("A spend limit has been reached.")),
    "internal_error": (_("Internal error"), _("Something went wrong here; the request id finds it in our logs.")),
    "service_unavailable": (
        _("Service unavailable"),
        _("A part that this needs does not answer; try again shortly."),
    ),
}
CODES: dict[int, str] = {
    400: "bad_request",
    401: "not_authenticated",
    402: "insufficient_balance",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    408: "request_timeout",
    409: "conflict",
    412: "precondition_failed",
    413: "body_too_large",
    414: "uri_too_long",
    415: "unsupported_media_type",
    416: "range_not_satisfiable",
    422: "validation_error",
    429: "rate_limited",
    500: "internal_error",
    503: "service_unavailable",
}


def code_of(status: int) -> str:
    """The code for an error response that has none of its own."""
    return CODES.get(status, "bad_request" if status < 500 else "internal_error")
