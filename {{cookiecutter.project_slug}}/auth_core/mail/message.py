"""The HTML of a mail, made from its text: who writes a mail writes one template of plain text.

A link of ours at the end of a paragraph becomes a button; a line of its own before it is the label:

    Confirm your e-mail address:
    https://app.example.com/verify-email#key=...
"""

import re

from django.conf import settings
from django.template.loader import render_to_string


def as_html(subject: str, text: str) -> str:
    """Lay out a mail's text by account/email/base_message.html, which a team may replace."""
    parts = [_part(paragraph.strip()) for paragraph in text.split("\n\n")]
    return render_to_string("account/email/base_message.html", {"subject": subject, "parts": parts})


def _part(paragraph: str) -> dict[str, str]:
    found = re.search(rf"(\s|\A)({re.escape(settings.FRONTEND_URL)}/\S+)\Z", paragraph)
    if found is None:
        return {"text": paragraph}
    before, link = paragraph[: found.start()], found.group(2)
    if found.group(1) == "\n":
        return {"label": before.rstrip(" :"), "link": link}
    return {"text": before, "link": link}
