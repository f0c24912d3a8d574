"""A real Prometheus: it scrapes a running unpage, its linter reads the exposition, and the alert rules and the dashboard of
contrib/ name metrics and labels that a scrape has."""

import json
import re
import subprocess
from pathlib import Path

import pytest
import requests
from harness.boxes import Box, program
from harness.client import STREAM
from harness.process import REPOSITORY, free_port, until

RULES = REPOSITORY / "contrib/prometheus-rules.yml"
DASHBOARD = REPOSITORY / "contrib/grafana.json"
NAME = re.compile(r"\b(?:unpage|process)_[a-z_]+\b")
SELECTOR = re.compile(r"(\b(?:unpage|process)_[a-z_]+)\{([^}]*)\}")
# Without `[tls]` and `client_cert` there is no certificate.
CONDITIONAL = {"unpage_certificate_expiry_seconds"}


def promtool(*arguments, text: str | None = None) -> str:
    command = [program("prometheus", "promtool"), *arguments]
    ran = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout + ran.stderr


@pytest.fixture
def scraped(scripted, serve):
    """The operator's address of an unpage that has answered one stream, and its metrics."""
    upstream, admin = scripted(), f"127.0.0.1:{free_port()}"
    proxy = serve(config=f'admin = "{admin}"\n{upstream.config()}')
    assert requests.get(f"{proxy.url}/orders", headers={"Accept": STREAM}, timeout=60).ok
    return admin, requests.get(f"http://{admin}/metrics", timeout=60).text


def expressions() -> list[str]:
    """Expressions of the rules and of the dashboard's panels and variables."""
    board = json.loads(DASHBOARD.read_text())
    panels = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    variables = [str(variable["query"]) for variable in board["templating"]["list"]]
    rules = [line for line in RULES.read_text().splitlines() if not re.match(r"\s*(#|- alert:|summary:|description:)", line)]
    return [*panels, *variables, *rules]


def test_the_linter_of_metrics_has_no_complaint(scraped):
    assert promtool("check", "metrics", text=scraped[1]) == ""


def test_each_alert_fires_on_its_figures_alone(tmp_path: Path):
    assert "9 rules found" in promtool("check", "rules", str(RULES))
    tests = tmp_path / "rules-test.yml"
    tests.write_text((REPOSITORY / "tests/real/prometheus-rules-test.yml").read_text().replace("RULES", str(RULES)))
    assert "SUCCESS" in promtool("test", "rules", str(tests))


def test_rules_and_dashboard_name_metrics_and_labels_of_a_scrape(scraped):
    samples = [line for line in scraped[1].splitlines() if not line.startswith("#")]
    known = {re.split(r"[{ ]", line)[0] for line in samples}
    labels = {label for line in samples for label in re.findall(r'(\w+)="', line)} | {"instance", "job", "cert"}
    used = {name for text in expressions() for name in NAME.findall(text)}
    assert used - known - CONDITIONAL == set() and len(used) > 25
    # `=` alone: the dashboard chooses its instances by `=~`.
    pair = re.compile(r'(\w+)="([^"]*)"')
    chosen = {(name, *one) for text in expressions() for name, inside in SELECTOR.findall(text) for one in pair.findall(inside)}
    values = {(name, *one) for line in samples for name, inside in SELECTOR.findall(line) for one in pair.findall(inside)}
    assert chosen - values == set() and len(chosen) > 4
    board = json.loads(DASHBOARD.read_text())
    shown = {label for panel in board["panels"] for target in panel["targets"] for label in re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])}
    grouped = {label for text in expressions() for by in re.findall(r"\b(?:by|without) \(([^)]*)\)", text) for label in by.split(", ")}
    assert (shown | grouped) - labels == set() and shown
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in board["panels"]]
    assert len(set(places)) == len(places)


def test_prometheus_scrapes_and_evaluates_the_rules(scraped, tmp_path: Path):
    admin, text = scraped

    def prometheus(place: Path, port: int, _: str) -> list[str]:
        targets = {"job_name": "unpage", "scrape_interval": "1s", "static_configs": [{"targets": [admin]}]}
        config = {"global": {"evaluation_interval": "1s"}, "rule_files": [str(RULES)], "scrape_configs": [targets]}
        (place / "prometheus.yml").write_text(json.dumps(config))
        return [
            str(program("prometheus", "prometheus")),
            f"--config.file={place / 'prometheus.yml'}",
            f"--storage.tsdb.path={place / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ]

    box = Box(prometheus, tmp_path / "prometheus", "")
    try:
        ask = lambda path, **params: requests.get(f"{box.url}/api/v1/{path}", params=params, timeout=60).json()["data"]  # noqa: E731
        until(lambda: requests.get(f"{box.url}/-/ready", timeout=60).ok, "Prometheus to be ready")
        until(lambda: ask("query", query='up{job="unpage"} == 1')["result"], "a scrape")
        stored = {series["__name__"] for series in ask("series", **{"match[]": '{job="unpage"}'})}
        sent = {re.split(r"[{ ]", line)[0] for line in text.splitlines() if not line.startswith("#")}
        assert sent <= stored and len(sent) > 40
        until(
            lambda: all(rule["health"] == "ok" for group in ask("rules")["groups"] for rule in group["rules"]),
            "all rules to be evaluated",
        )
        board = json.loads(DASHBOARD.read_text())
        for expr in [target["expr"] for panel in board["panels"] for target in panel["targets"]]:
            query = expr.replace("$instance", ".*").replace("$__rate_interval", "1m")
            assert "result" in ask("query", query=query), query
        assert ask("query", query="sum(unpage_records_total)")["result"][0]["value"][1] != "0"
    finally:
        box.stop()
        print(box.child.said())
