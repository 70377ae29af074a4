"""Command: write the API's requests as a Postman collection and as an .http file."""

from pathlib import Path
from typing import Any

from django.core.management import BaseCommand, CommandParser

from auth_core.http import requests


class Command(BaseCommand):
    help = "Write postman_collection.json and requests.http, made from the OpenAPI document, to a folder."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path)

    def handle(self, *args: Any, folder: Path, **options: Any) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in {
            "postman_collection.json": requests.postman(),
            "requests.http": requests.http(),
        }.items():
            (folder / name).write_text(text, "utf-8")
            self.stdout.write(f"{folder / name}")
