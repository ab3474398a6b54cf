"""The table: a column for each host, and how many times better the first one is."""
import os
import platform
import statistics

LABEL, COLUMN = 30, 30
BUSY = 0.95  # of a CPU: the generator itself was the limit


def number(value: float) -> str:
    if value >= 10000:
        return f"{value / 1000:.3g}k" if value < 1e6 else f"{value / 1e6:.3g}M"
    return f"{value:.0f}" if value >= 1000 else f"{value:.3g}"


def cell(values: list[float], limited: bool) -> str:
    if not values:
        return "failed"
    return f"{number(statistics.median(values))}{'*' if limited else ''} ({number(min(values))}..{number(max(values))})"


def ratio(ours: list[float], theirs: list[float], more_is_better: bool) -> str:
    if not ours or not theirs:
        return ""
    a, b = statistics.median(ours), statistics.median(theirs)
    if a <= 0 or b <= 0:
        return ""
    return f"{number(a / b if more_is_better else b / a)} x"


def machine() -> str:
    model = "unknown CPU"
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.split(":")[1].strip()
                break
    return f"{os.cpu_count()} x {model}, Linux {platform.release()}"


def show_scenario(names: list[str], scenario, results: list[dict]) -> bool:
    """Its lines; true if the generator was the limit."""
    print(f"\n{scenario.name}")
    good = {name: [r for r in results if r["host"] == name and r["scenario"] == scenario.name and not r["errors"]]
            for name in names}
    any_limited = False
    for figure in scenario.figures:
        values = {name: [r[figure.key] for r in good[name] if figure.key in r] for name in names}
        line = f"  {figure.label:<{LABEL}}"
        for name in names:
            busy = [r.get("load_busy", 0) for r in good[name]]
            limited = bool(busy) and statistics.median(busy) > BUSY and figure.key != "host_cpu_us"
            any_limited |= limited
            tried = any(r["host"] == name and r["scenario"] == scenario.name for r in results)
            line += f"{cell(values[name], limited) if tried else '':<{COLUMN}}"
        if len(names) > 1:
            line += ratio(values[names[0]], values[names[1]], figure.more_is_better)
        print(line.rstrip())
    return any_limited


def show(names: list[str], todo: list, results: list[dict], chosen) -> None:
    print(f"{machine()}; {chosen.rounds} rounds of {chosen.seconds:g} s{', pinned' if chosen.pin else ''}; "
          "median (least..most)\n")
    heading = " " * (LABEL + 2) + "".join(f"{name:<{COLUMN}}" for name in names)
    print((heading + ("better by" if len(names) > 1 else "")).rstrip())
    limited = [show_scenario(names, scenario, results) for scenario in todo]
    if any(limited):
        print("\n* the load generator was busy all the time: the host could have done more")
    checked = sum(int(r.get("checked", 0)) + int(r.get("answered", 0)) for r in results)
    wrong = [r for r in results if r["errors"]]
    print(f"\n{checked} replies and deliveries checked in {len(results)} runs; {len(wrong)} runs with something wrong")
