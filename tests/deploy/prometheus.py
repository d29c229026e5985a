"""What the tests ask of Prometheus: its rules as data, a server of its own, and PromQL's selectors."""

from __future__ import annotations

import json
import re
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from tests.services.places import ROOT, free_port
from tests.services.prerequisites import prometheus
from tests.services.service import Service

RULES = sorted((ROOT / "deploy/prometheus/rules").glob("*.yml"))
_SELECTOR = re.compile(r"\b(watson[a-z0-9_:]+)(\{[^}]*\})?")


def rules() -> list[dict[str, Any]]:
    """All rules, of recording and alerting."""
    return [rule for path in RULES for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]]


def selectors(expression: str) -> set[str]:
    """Metrics with their matchers, as they stand in an expression."""
    return {name + (matchers or "") for name, matchers in _SELECTOR.findall(expression)}


def promtool(*arguments: str, given: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    """Run the tool that comes with Prometheus."""
    tool = str(Path(prometheus()).with_name("promtool"))
    return subprocess.run([tool, *arguments], input=given, capture_output=True, timeout=60, check=False)


class Prometheus(Service):
    """A server that scrapes some addresses each second, with Watson's rules."""

    name = "prometheus"

    def __init__(self, directory: Path, targets: Iterable[str]) -> None:
        super().__init__(directory)
        self.targets = list(targets)
        self.endpoint = f"http://127.0.0.1:{free_port()}"

    def prepare(self) -> None:
        """Write its configuration."""
        configuration = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(path) for path in RULES],
            "scrape_configs": [{"job_name": "watson", "static_configs": [{"targets": self.targets}]}],
        }
        (self.directory / "prometheus.yml").write_text(yaml.safe_dump(configuration))

    def command(self) -> list[str]:
        """The server, with nothing kept but in `directory`."""
        return [
            prometheus(),
            f"--config.file={self.directory / 'prometheus.yml'}",
            f"--storage.tsdb.path={self.directory / 'data'}",
            f"--web.listen-address={self.endpoint.removeprefix('http://')}",
            "--log.level=warn",
        ]

    def ready(self) -> bool:
        """Whether it answers questions."""
        try:
            with urllib.request.urlopen(f"{self.endpoint}/-/ready", timeout=2) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def ask(self, expression: str) -> list[dict[str, Any]]:
        """The series that an expression gives now.

        Raises:
            AssertionError: it is no PromQL, or cannot be evaluated.
        """
        query = urllib.parse.urlencode({"query": expression})
        try:
            with urllib.request.urlopen(f"{self.endpoint}/api/v1/query?{query}", timeout=10) as answer:
                return list(json.load(answer)["data"]["result"])
        except urllib.error.HTTPError as exc:
            raise AssertionError(f"{expression}: {exc.read().decode()}") from exc

    def rule_errors(self) -> list[str]:
        """What went wrong in the evaluation of rules."""
        with urllib.request.urlopen(f"{self.endpoint}/api/v1/rules", timeout=10) as answer:
            groups = json.load(answer)["data"]["groups"]
        return [f"{rule['name']}: {rule['lastError']}" for g in groups for rule in g["rules"] if rule.get("lastError")]
