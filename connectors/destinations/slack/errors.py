"""What each answer of the methods we call means for the message.

https://docs.slack.dev/reference/methods/chat.postMessage#errors , and the same page of chat.update, chat.delete,
conversations.history, conversations.replies and conversations.list; codes not listed there any more stay, for old workspaces.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from crmbridge.errors import AuthFailed, DeliveryError, OutcomeUnknown, RateLimited, Rejected, Transient
from crmbridge.http import refusal, retry_after
from crmbridge.model import visible
from crmbridge.telemetry import redact

# Slack did not act, and will once the trouble has passed.
_TRANSIENT = """
    service_unavailable team_added_to_org org_login_required request_timeout external_channel_migrating
"""

# Slack did not act because too much was said; 429 itself carries Retry-After.
_LIMITED = """
    ratelimited rate_limited message_limit_exceeded
"""

# The token, the app or the workspace's consent is missing: every message would fail alike.
_AUTH = """
    invalid_auth not_authed token_expired token_revoked account_inactive access_denied accesslimited
    two_factor_setup_required missing_scope not_allowed_token_type no_permission app_access_restricted
    enterprise_is_restricted ekm_access_denied metadata_must_be_sent_from_app as_user_not_supported is_bot
    send_on_behalf_not_allowed deprecated_endpoint method_deprecated unknown_method team_access_not_granted
"""

# This channel or this message: others may well succeed.
_REJECTED = """
    channel_not_found not_in_channel is_archived restricted_action restricted_action_read_only_channel
    restricted_action_thread_only_channel restricted_action_non_threadable_channel restricted_action_thread_locked
    team_not_found messages_tab_disabled slack_connect_canvas_sharing_blocked slack_connect_file_link_sharing_blocked
    slack_connect_lists_sharing_blocked cannot_reply_to_message
    msg_too_long msg_blocks_too_long no_text invalid_blocks invalid_blocks_format too_many_attachments
    too_many_contact_cards attachment_payload_limit_exceeded markdown_text_conflict metadata_too_large
    invalid_metadata_format invalid_metadata_schema invalid_arg_name invalid_array_arg invalid_charset
    invalid_form_data invalid_post_type missing_post_type missing_file_data
    draft_already_deleted draft_already_sent draft_has_conflict draft_not_found
    duplicate_channel_not_found duplicate_message_not_found
    message_not_found cant_update_message cant_delete_message edit_window_closed is_inactive block_mismatch
    cant_broadcast_message no_dual_broadcast_content_update streaming_state_conflict invalid_attachments
    blocked_file_type file_deleted file_is_deleted file_not_found file_share_limit_reached max_file_sharing_exceeded
    posting_to_channel_denied unable_to_share_files slack_connect_blocked_file_type slack_connect_clip_sharing_blocked
    slack_connect_file_upload_sharing_blocked
    thread_not_found channel_is_limited_access method_not_supported_for_channel_type list_record_comment_fetch_failed
    users_not_found user_not_found
    invalid_cursor invalid_limit invalid_types invalid_ts_latest invalid_ts_oldest invalid_metadata_filter_keys
"""

# "It's possible some aspect of the operation succeeded before the error was raised."
_UNKNOWN = """
    fatal_error internal_error update_failed
"""

CODES: Mapping[str, type[DeliveryError]] = {
    code: kind
    for kind, codes in {
        Transient: _TRANSIENT,
        RateLimited: _LIMITED,
        AuthFailed: _AUTH,
        Rejected: _REJECTED,
        OutcomeUnknown: _UNKNOWN,
    }.items()
    for code in codes.split()
}

# Of a reply or an edit: what it hangs on was deleted, or takes no replies. Said anew it is heard, and so are those after it.
HEAD_GONE = frozenset({"thread_not_found", "message_not_found", "cannot_reply_to_message"})

_HINTS = {
    "not_in_channel": "invite the app to the channel, or grant it chat:write.public",
    "channel_not_found": "no such channel, or a private one that the app was not invited to",
    "missing_scope": "the app needs the scope chat:write",
    "not_authed": "the token is empty",
    "invalid_auth": "Slack does not know this token",
    "message_not_found": "somebody deleted the message",
    "edit_window_closed": "the workspace lets messages be edited for a while only",
}
_PAUSE = {"message_limit_exceeded": timedelta(hours=1)}  # a free workspace's allowance; no reset is announced
_DEFAULT_PAUSE = timedelta(seconds=30)


# The token itself is worth nothing: that stops everything, also where only a look was refused.
_NO_TOKEN = frozenset({"invalid_auth", "not_authed", "token_expired", "token_revoked", "account_inactive", "secret", "401"})


def not_to_be_asked(error: DeliveryError, hint: str) -> DeliveryError:
    """What a refused look at Slack means: it says nothing about the message, and must not pause what may still publish."""
    if isinstance(error, Rejected) or (isinstance(error, AuthFailed) and error.code not in _NO_TOKEN):
        return Rejected(f"Slack cannot be asked whether the message is there: {error} ({hint})", code="find")
    return error


_MOST_SAID = 5  # of Slack's own sentences in one refusal
_SAID = 200  # characters of each


def details(said: Mapping[str, Any]) -> str:
    """What Slack says beside its code: which scope is needed, what is wrong where. Bounded; empty if it says nothing more.

    https://docs.slack.dev/apis/web-api/#slack-web-api__evaluating-responses : `errors`, `response_metadata.messages`, `needed`, `provided`.
    """
    found: list[str] = []
    if isinstance(said.get("needed"), str) and said["needed"]:
        found.append(f"needed: {said['needed']}")
        found += [f"provided: {said['provided']}"] if isinstance(said.get("provided"), str) and said["provided"] else []
    further = said.get("response_metadata")
    for listed in (said.get("errors"), further.get("messages") if isinstance(further, Mapping) else None):
        for one in listed if isinstance(listed, list) else ():
            words = one if isinstance(one, str) else " ".join(str(part) for part in one.values()) if isinstance(one, Mapping) else ""
            found += [words] if words else []
    shown = [" ".join(visible(words[: 4 * _SAID]).split())[:_SAID] for words in dict.fromkeys(found)]
    return redact("; ".join(shown[:_MOST_SAID]))


def refused(code: str, headers: Mapping[str, str], now: datetime, more: str = "") -> DeliveryError:
    """`ok: false` with `code`, and what Slack says beside it. A code nobody has listed was still an answer that refused: Rejected."""
    kind = CODES.get(code, Rejected)
    code = redact(code)[:100]  # Slack's own codes are short words; whatever else stands there is shown to people
    hint = "" if code == "missing_scope" and more else _HINTS.get(code, "")
    text = redact(f"Slack refused: {code}" + (f" ({hint})" if hint else "")) + (f": {more}" if more else "")
    if kind is RateLimited:
        # Slack does not say whether its limit of the channel, the method or the workspace was hit; persisting
        # elsewhere after the last would get the app disabled, so the whole destination is silent.
        until = retry_after(headers, now) or now + _PAUSE.get(code, _DEFAULT_PAUSE)
        return RateLimited(text, until, code=code)
    return kind(text, code=code)


def bad_status(status: int, code: str, headers: Mapping[str, str], now: datetime, more: str = "") -> DeliveryError:
    """A status other than 200. Where the body named a code that is listed, the code decides, except against 5xx."""
    if status == 429:
        return refused("ratelimited", headers, now)
    if code in CODES and status < 500:
        return refused(code, headers, now, more)
    return refusal(status, f"{code}: {more}" if code and more else code or "from Slack", headers, now)


# --- for people

_MEANS: Mapping[type[DeliveryError], str] = {
    Transient: "Not published. Tried again after a growing pause.",
    RateLimited: "Not published. The whole destination is silent for as long as Slack asks, then it is tried again.",
    AuthFailed: "Not published. The destination pauses until somebody acts (`crmbridge reload`); nothing is lost.",
    Rejected: "Not published, and never will be as it is: a dead letter with Slack's own words.",
    OutcomeUnknown: "It may be published. It is looked for in the channel, then `on_unknown` decides.",
}


def answer_table() -> str:
    """What each answer of the Web API means, for the README."""
    gone = " ".join(f"`{code}`" for code in sorted(HEAD_GONE))
    rows = [f"| {gone}, of a reply or an edit | Not published. It is said at once as a new first message, and the thread goes on there. |"]
    for kind, means in _MEANS.items():
        rows.append(f"| {' '.join(f'`{code}`' for code in sorted(CODES) if CODES[code] is kind)} | {means} |")
    rows += [
        "| any other code | As a code that refuses the message. |",
        "| HTTP 429 | As `ratelimited`, with `Retry-After`. |",
        "| HTTP 5xx, 408, no answer, an answer that cannot be read | As `internal_error`. |",
        "| HTTP 401, 403 without a listed code | As `invalid_auth`. |",
    ]
    return "\n".join(["| answer | what it means |", "| --- | --- |", *rows])
