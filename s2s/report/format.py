"""Format counts, sizes, durations, times and differences for people."""

from datetime import datetime


def counted(count: int, noun: str) -> str:
    """Return `1 update`, `1,200 updates`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def format_size(count: float) -> str:
    """Return a number of bytes as `12.3 MB`, with the unit from kB to TB that fits."""
    for unit in ("kB", "MB", "GB"):
        count /= 1000
        if count < 1000:
            return f"{count:.1f} {unit}"
    return f"{count / 1000:.1f} TB"


def duration(seconds: float) -> str:
    """Return `48 s`, `3 min 20 s`, `1 h 05 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min"


def clock(seconds: float) -> str:
    """Return `1:02:03` or `2:03`, for durations that change while they are shown."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def signed(points: float) -> str:
    """Return `+37.5`, `−0.4`, `±0.0`."""
    text = f"{points:+.1f}"
    return "±0.0" if text in {"+0.0", "-0.0"} else text.replace("-", "−")


def local_time(moment: str) -> str:
    """Format a moment (ISO 8601) as local date and time."""
    try:
        return datetime.fromisoformat(moment).astimezone().strftime("%Y-%m-%d %H:%M")
    except ValueError:
        return moment


def use_command(model: str, *, of_images: bool) -> str:
    """Return the command that uses a model: `s2s translate numbers-attention`."""
    return f"s2s caption {model} IMAGE" if of_images else f"s2s translate {model}"
