"""JSON only, in UTF-8, as deep as the interpreter can follow, with numbers that a database can hold."""

import json
import math
from typing import IO, Any

from django.utils.http import parse_header_parameters
from rest_framework.exceptions import ParseError, UnsupportedMediaType
from rest_framework.parsers import JSONParser


def _integer(text: str) -> int:
    # The length first: converting is slow for very many digits.
    if len(text) > 20 or not -(2**63) <= int(text) < 2**63:
        raise ValueError("a number is beyond 64 bits")
    return int(text)


def _real(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is not finite")
    return number


class StrictJSONParser(JSONParser):
    """Refuses what RFC 8259 leaves open: other encodings (415), NaN, bottomless nesting, huge numbers (400).

    Of a name given twice the last value counts.
    """

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Any = None
    ) -> Any:
        _, parameters = parse_header_parameters(media_type or "")
        if parameters.get("charset", "utf-8").lower() not in {"utf-8", "utf8"}:
            raise UnsupportedMediaType(media_type or "")
        try:
            return json.loads(
                stream.read().decode(), parse_constant=_real, parse_float=_real, parse_int=_integer
            )
        except (ValueError, RecursionError) as error:
            raise ParseError(f"JSON parse error - {_problem(error)}") from error


def _problem(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, UnicodeError):
        return "not UTF-8"
    return str(error)
