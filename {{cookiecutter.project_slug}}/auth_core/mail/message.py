"""The HTML of a mail, made from its text: who writes a mail writes one template of plain text.

A paragraph whose last line is a link of ours becomes a button; the line before is its label:

    Confirm your e-mail address:
    https://app.example.com/verify-email#key=...
"""

from django.conf import settings
from django.template.loader import render_to_string


def as_html(subject: str, text: str) -> str:
    """Lay out a mail's text by account/email/base_message.html, which a team may replace."""
    parts = [_part(paragraph) for paragraph in text.split("\n\n")]
    return render_to_string("account/email/base_message.html", {"subject": subject, "parts": parts})


def _part(paragraph: str) -> dict[str, str]:
    label, _, last = paragraph.strip().rpartition("\n")
    if last.startswith(f"{settings.FRONTEND_URL}/"):
        return {"link": last, "text": label.rstrip(" :")}
    return {"text": paragraph.strip()}
