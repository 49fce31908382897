"""What a survey has found, in sentences."""

from __future__ import annotations

from napari_drcr.training.survey import Survey

NOTHING_HELD_BACK = (
    "No scene is held back, but the run must be validated on some: check them in the table, or press Propose split."
)


def hindrance_of(found: Survey) -> str:
    """Why scenes cannot be trained with: the first reason, in a sentence, and how many more there are; or nothing."""
    scenes = [scene for scene in found.scenes if not scene.left_out]
    problems = list(found.problems)
    if len(scenes) > 1 and not any(scene.held_back for scene in scenes):
        # It is the last one, in the words of the command line.
        problems[-1] = NOTHING_HELD_BACK
    stopping = [f"{scene.name}: {each.sentence}." for scene in scenes for each in scene.problems if each.stops]
    sentences = [*problems, *stopping]
    if not sentences:
        return ""
    more = f" There is more in the table ({len(sentences) - 1})." if len(sentences) > 1 else ""
    return sentences[0] + more


def summary_of(found: Survey) -> str:
    """What a folder holds: its layout and counts of its scenes; and the measured reflectances that are mixed in."""
    scenes = [scene for scene in found.scenes if not scene.left_out]
    held_back = sum(scene.held_back for scene in scenes)
    wrong = sum(not scene.usable for scene in scenes)
    left_out = len(found.scenes) - len(scenes)
    counts = [f"{len(scenes) - held_back} to train with", f"{held_back} held back"]
    counts += [f"{wrong} not usable"] if wrong else []
    counts += [f"{left_out} left out"] if left_out else []
    mixed = "" if found.reflectances is None else f" Mixed in: {found.reflectances}."
    return f"{found.layout[0].upper()}{found.layout[1:]}: {', '.join(counts)}.{mixed}"
