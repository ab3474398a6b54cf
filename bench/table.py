"""The table: a column for each host, and how many times better the first one is."""
import os
import platform
import statistics

LABEL, COLUMN = 30, 25
RATIO = 21
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


def against(name: str, scenario, good: list[dict], results: list[dict]) -> list[float]:
    """Round by round: what the scenario cost, by what the one it is shown against did."""
    key = scenario.figures[0].key
    base = {r["round"]: r[key] for r in results
            if r["host"] == name and r["scenario"] == scenario.against and not r["errors"] and r.get(key)}
    return [r[key] / base[r["round"]] for r in good if r["round"] in base and key in r]


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
        for name in names[1:]:
            line += f"{ratio(values[names[0]], values[name], figure.more_is_better):<{RATIO}}"
        print(line.rstrip())
    times = against(names[0], scenario, good[names[0]], results)
    if times:
        print(f"  {'times that without':<{LABEL}}{cell(times, False)}")
    return any_limited


def show(names: list[str], todo: list, results: list[dict], chosen, passed: str) -> None:
    print(f"{machine()}; {chosen.rounds} rounds of {chosen.seconds:g} s{', pinned' if chosen.pin else ''}, {passed} in all; "
          "median (least..most)\n")
    heading = " " * (LABEL + 2) + "".join(f"{name:<{COLUMN}}" for name in names)
    print((heading + "".join(f"{'better than ' + name:<{RATIO}}" for name in names[1:])).rstrip())
    limited = [show_scenario(names, scenario, results) for scenario in todo]
    if any(limited):
        print("\n* the load generator was busy all the time: the host could have done more")
    checked = sum(int(r.get("checked", 0)) + int(r.get("answered", 0)) for r in results)
    wrong = [r for r in results if r["errors"]]
    print(f"\n{checked} replies and deliveries checked in {len(results)} runs; {len(wrong)} runs with something wrong")
