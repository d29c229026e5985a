"""``python -m deploy.grafana.generate``: writes the dashboards beside it from the panels below.

Made with grafana-foundation-sdk, Grafana's own library for dashboards as code. The JSON is committed, so that nobody
needs this to use it; a test compares the two. The data source is a variable: any Prometheus that scrapes Watson.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from grafana_foundation_sdk.builders import common, prometheus, stat, timeseries
from grafana_foundation_sdk.builders import dashboard as board
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.common import StackingMode

DASHBOARDS = Path(__file__).parent / "dashboards"

_SOURCE = models.DataSourceRef(type_val="prometheus", uid="${source}")
_RATE = "$__rate_interval"


@dataclass(frozen=True)
class Panel:
    """One panel.

    Attributes:
        title: what it shows.
        queries: PromQL by legend.
        unit: Grafana's name of it.
        help: what to make of it.
        number: one number instead of a graph.
        width: columns of 24.
        stacked: whether the series add up to something.
    """

    title: str
    queries: Mapping[str, str]
    unit: str = "short"
    help: str = ""
    number: bool = False
    width: int = 12
    stacked: bool = False


@dataclass(frozen=True)
class Dashboard:
    """One dashboard.

    Attributes:
        name: of its file and its address.
        title: what people see.
        help: for whom it is.
        panels: by title of their row.
        variables: what is chosen at the top: a metric and its label, by name.
    """

    name: str
    title: str
    help: str
    panels: Mapping[str, Sequence[Panel]]
    variables: Mapping[str, tuple[str, str]] = field(default_factory=dict)


def quantiles(metric: str, labels: str, by: str = "") -> dict[str, str]:
    """Median and 95th percentile of a histogram, by legend."""
    group = f"le, {by}" if by else "le"
    suffix = f" {{{{{by}}}}}" if by else ""
    return {
        f"{name}{suffix}": f"histogram_quantile({share}, sum by ({group}) (rate({metric}_bucket{{{labels}}}[{_RATE}])))"
        for name, share in (("p50", 0.5), ("p95", 0.95))
    }


def rate(metric: str, labels: str, by: str) -> dict[str, str]:
    """Increase a second of a counter, by legend."""
    legend = " ".join(f"{{{{{label.strip()}}}}}" for label in by.split(","))
    return {legend: f"sum by ({by}) (rate({metric}{{{labels}}}[{_RATE}]))"}


_CHAIN = 'role=~"discover|preprocess|segment|catalogue|project"'
_ROLE = 'role=~"$role"'
_IMAGES = f'sum(rate(watson_events_total{{role="catalogue",outcome="emitted"}}[{_RATE}]))'

OVERVIEW = Dashboard(
    "watson-overview",
    "Watson: overview",
    "Is it running, how fast, what fails.",
    {
        "Now": [
            Panel("Images a second", {"": _IMAGES}, "short", "Catalogued.", number=True, width=4),
            Panel("Images in flight", {"": "sum(watson_images_tracked)"}, number=True, width=4),
            Panel(
                "Dead letters in the last hour",
                {"": "sum(increase(watson_dead_letters_total[1h]))"},
                number=True,
                width=4,
                help="Pictures that could not be segmented, and events that could not be read.",
            ),
            Panel("Workers ready", {"": "sum(watson_ready)"}, number=True, width=4),
            Panel(
                "An image takes (p95)",
                {"": "histogram_quantile(0.95, sum by (le) (rate(watson_image_seconds_bucket[15m])))"},
                "s",
                "From its discovery to its end, over a quarter of an hour.",
                number=True,
                width=4,
            ),
            Panel(
                "Cost of 1,000 images",
                {"": "watson:cost_per_1000_images"},
                "short",
                "By WATSON_PRICE_PER_HOUR of all workers and the present rate.",
                number=True,
                width=4,
            ),
        ],
        "Progress": [
            Panel(
                "Events a second by stage",
                rate("watson_events_total", f'{_CHAIN},outcome="emitted"', "role"),
                help="In a steady state preprocess, segment and catalogue go at one pace: the slowest stage's.",
            ),
            Panel(
                "Consumer lag",
                {"{{role}}": "sum by (role) (watson_consumer_lag)"},
                help="Events that wait for a stage or are being worked on. The stage where it grows is the bottleneck.",
            ),
            Panel(
                "Time to work off the lag",
                {"{{role}}": "watson:drain_seconds"},
                "s",
                "Lag divided by the present rate.",
            ),
            Panel("Oldest event in hand", {"{{role}}": "max by (role) (watson_consumer_lag_seconds)"}, "s"),
        ],
        "Failures": [
            Panel(
                "Dead letters a second by reason",
                rate("watson_dead_letters_total", "", "reason"),
                help="docs/reason-codes.md says what each means.",
            ),
            Panel("Retries a second", rate("watson_retries_total", "", "role")),
            Panel("Workers ready by role", {"{{role}}": "sum by (role) (watson_ready)"}),
            Panel("Images sent again", {"redrives": f"sum(rate(watson_redrives_total[{_RATE}]))"}),
        ],
    },
)

STAGES = Dashboard(
    "watson-stages",
    "Watson: stages",
    "One stage, or several: where its time goes.",
    {
        "Pace": [
            Panel("Events a second by outcome", rate("watson_events_total", _ROLE, "role, outcome"), stacked=True),
            Panel("Events in hand", {"{{role}}": f"sum by (role) (watson_in_flight{{{_ROLE}}})"}),
            Panel("Lag by topic", {"{{role}} {{topic}}": f"sum by (role, topic) (watson_consumer_lag{{{_ROLE}}})"}),
            Panel(
                "Idle workers",
                rate("watson_idle_seconds_total", _ROLE, "role"),
                "short",
                "Workers' worth of time with nothing to do: 2 means that two could be taken away.",
            ),
        ],
        "Time": [
            Panel("Waiting in the log", quantiles("watson_queue_seconds", _ROLE, "role"), "s"),
            Panel("From delivery to acknowledgement", quantiles("watson_event_seconds", _ROLE, "role"), "s"),
            Panel("The stage's own work", quantiles("watson_work_seconds", _ROLE, "role"), "s"),
            Panel("Emitting", quantiles("watson_emit_seconds", _ROLE, "role"), "s"),
        ],
        "Health": [
            Panel("Rebalances", rate("watson_rebalances_total", _ROLE, "role")),
            Panel("Recovery after a rebalance", quantiles("watson_recovery_seconds", _ROLE, "role"), "s"),
            Panel("Stalled for", {"{{role}}": f"max by (role) (watson_stalled_seconds{{{_ROLE}}})"}, "s"),
            Panel("Table entries", {"{{role}} {{table}}": f"sum by (role, table) (watson_table_entries{{{_ROLE}}})"}),
        ],
    },
    {"role": ("watson_ready", "role")},
)

SEGMENT = Dashboard(
    "watson-segment",
    "Watson: segment workers",
    "The stage that a GPU is for. The GPU's own numbers come from NVIDIA's DCGM exporter, not from here.",
    {
        "Model": [
            Panel(
                "Pictures a second",
                {"": f"sum(rate(watson_batch_size_sum[{_RATE}]))"},
                help="That models looked at.",
                number=True,
                width=6,
            ),
            Panel(
                "Model's time for a picture",
                {"": f"sum(rate(watson_model_seconds_sum[{_RATE}])) / sum(rate(watson_batch_size_sum[{_RATE}]))"},
                "s",
                number=True,
                width=6,
            ),
            Panel(
                "Pictures in a batch",
                {"": f"sum(rate(watson_batch_size_sum[{_RATE}])) / sum(rate(watson_batch_size_count[{_RATE}]))"},
                help="Near 1 with a lag: the input is the bottleneck; see WATSON_BATCH_SIZE.",
                number=True,
                width=6,
            ),
            Panel("Models loaded", {"": "sum(watson_model_load_seconds_count)"}, number=True, width=6),
            Panel("Time for a batch", quantiles("watson_model_seconds", ""), "s"),
            Panel("To have a model ready", quantiles("watson_model_load_seconds", ""), "s"),
            Panel(
                "Workers' time in the model",
                {"{{instance}}": f"sum by (instance) (rate(watson_model_seconds_sum[{_RATE}]))"},
                "percentunit",
                "Of each worker: what is missing to 100 % is spent on reading, waiting and emitting.",
            ),
            Panel(
                "Idle", {"{{instance}}": f'rate(watson_idle_seconds_total{{role="segment"}}[{_RATE}])'}, "percentunit"
            ),
        ],
        "Process": [
            Panel(
                "Memory",
                {"{{instance}}": 'process_resident_memory_bytes and on (instance) watson_ready{role="segment"}'},
                "bytes",
            ),
            Panel(
                "CPU",
                {
                    "{{instance}}": f"rate(process_cpu_seconds_total[{_RATE}]) "
                    'and on (instance) watson_ready{role="segment"}'
                },
                "percentunit",
            ),
        ],
    },
)

JOB = Dashboard(
    "watson-job",
    "Watson: job",
    "One job under way, by the catalogue: the web role exports the newest fifty.",
    {
        "Now": [
            Panel(
                stage.capitalize(),
                {"": f'max(watson_job_images{{watson_job="$job",stage="{stage}"}})'},
                number=True,
                width=4,
            )
            for stage in ("discovered", "preprocessed", "segmented", "catalogued", "quarantined")
        ]
        + [
            Panel(
                "Still in flight",
                {
                    "": 'max(watson_job_images{watson_job="$job",stage="discovered"}) - '
                    'sum(max by (stage) (watson_job_images{watson_job="$job",stage=~"catalogued|quarantined"}))'
                },
                number=True,
                width=4,
            )
        ],
        "Progress": [
            Panel("Images by stage", {"{{stage}}": 'max by (stage) (watson_job_images{watson_job="$job"})'}),
            Panel(
                "Images a second",
                {"{{stage}}": 'max by (stage) (deriv(watson_job_images{watson_job="$job"}[2m]))'},
                help="Over two minutes.",
            ),
        ],
    },
    {"job": ("watson_job_images", "watson_job")},
)

STORES = Dashboard(
    "watson-stores",
    "Watson: stores",
    "Object store and catalogue, as the workers see them.",
    {
        title: [
            Panel("Operations a second", rate(f"{metric}_count", "", "operation"), stacked=True),
            Panel(
                "Operations that did not succeed",
                {
                    "{{operation}} {{result}}": f"sum by (operation, result) (rate({metric}_count"
                    f'{{result!="ok"}}[{_RATE}])) or vector(0)'
                },
                help="refused: there is no such object, which is often no failure. away: it does not answer.",
            ),
            Panel("Time (p95)", {"{{operation}}": quantiles(metric, "", "operation")["p95 {{operation}}"]}, "s"),
            Panel("Time (p50)", {"{{operation}}": quantiles(metric, "", "operation")["p50 {{operation}}"]}, "s"),
        ]
        for title, metric in (
            ("Object store", "watson_object_store_seconds"),
            ("Catalogue", "watson_catalogue_seconds"),
        )
    },
)

ALL = (OVERVIEW, STAGES, SEGMENT, JOB, STORES)


def _panel(panel: Panel, number: int) -> stat.Panel | timeseries.Panel:
    if panel.number:
        made = stat.Panel().reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"])).height(4)
    else:
        made = timeseries.Panel().fill_opacity(10).show_points("never").height(8)
    made = made.id(number).title(panel.title).description(panel.help).unit(panel.unit).datasource(_SOURCE).min(0)
    made = made.span(panel.width)
    if panel.stacked:
        made = made.stacking(common.StackingConfig().mode(StackingMode.NORMAL))
    for place, (legend, query) in enumerate(panel.queries.items()):
        target = prometheus.Dataquery().expr(query).legend_format(legend or "__auto").ref_id(chr(ord("A") + place))
        made = made.with_target(target)
    return made


def rendered(dashboard: Dashboard) -> str:
    """The dashboard's JSON, as Grafana imports it."""
    made = (
        board.Dashboard(dashboard.title)
        .uid(dashboard.name)
        .description(dashboard.help)
        .tags(["watson"])
        .refresh("10s")
        .time("now-30m", "now")
        .timezone("browser")
        .readonly()
        .with_variable(board.DatasourceVariable("source").label("Prometheus").type("prometheus"))
    )
    for name, (metric, label) in dashboard.variables.items():
        several = name == "role"
        made = made.with_variable(
            board.QueryVariable(name)
            .label(name.capitalize())
            .datasource(_SOURCE)
            .query(f"label_values({metric}, {label})")
            .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
            .multi(several)
            .include_all(several)
        )
    numbers = count(1)
    for title, panels in dashboard.panels.items():
        made = made.with_row(board.Row(title).id(next(numbers)))
        for panel in panels:
            made = made.with_panel(_panel(panel, next(numbers)))
    return JSONEncoder(sort_keys=True, indent=2).encode(made.build()) + "\n"


def main() -> None:
    """Write all."""
    DASHBOARDS.mkdir(exist_ok=True)
    for dashboard in ALL:
        (DASHBOARDS / f"{dashboard.name}.json").write_text(rendered(dashboard), encoding="utf-8")


if __name__ == "__main__":
    main()
