"""Files to studies: personas with their catalogues and controls, claims, sites, and configurations.

Every fault in what a user wrote ends in :class:`echoaudit.errors.BadInput`, one line that says
where, what was found, what is allowed, and an example.
"""

from __future__ import annotations

import hashlib
import os.path
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from echoaudit.errors import BadInput
from echoaudit.study import checks
from echoaudit.study.claims import default_claims
from echoaudit.study.faults import Fault, Origin, error, shown, suggestion
from echoaudit.study.models import (
    Catalogue,
    Claim,
    Config,
    Exclusion,
    Persona,
    PersonaVoice,
    Site,
    Strict,
    Study,
)
from echoaudit.study.overrides import laid_over, merge, written
from echoaudit.study.schemas import FILES
from echoaudit.study.sources import SUFFIXES, Disk, Recorded, Source
from echoaudit.study.tree import Node, Scalar, Table, overlay, parse
from echoaudit.study.typed import Document, Problem, read

M = TypeVar("M", bound=Strict)

__all__ = [
    "LoadedPersona",
    "LoadedStudy",
    "load_as",
    "load_catalogue",
    "load_config",
    "load_persona",
    "load_study",
    "merge",
    "restore_study",
]


@dataclass(frozen=True)
class LoadedPersona:
    """A persona with its skills, and where it was written."""

    persona: Persona
    catalogue: Catalogue | None
    path: Path

    @property
    def name(self) -> str:
        """The persona's name."""
        return self.persona.persona

    @property
    def treated(self) -> bool:
        """Whether something is done to it: it talks to skills or browses a topic."""
        return self.catalogue is not None or self.persona.browses is not None


@dataclass(frozen=True)
class LoadedStudy:
    """Everything a study is, and the exact bytes it was read from."""

    name: str
    personas: tuple[LoadedPersona, ...]
    """Sorted: those that are no one's control first, then by name."""
    claims: tuple[Claim, ...]
    sites: tuple[Site, ...]
    """The study's own, else the configuration's."""
    exclude: tuple[Exclusion, ...]
    """Rules by which sessions are left out: the study's own, else the configuration's."""
    files: dict[str, bytes]
    """Each YAML file as given, by its path below the folder that holds them all."""

    @property
    def voices(self) -> dict[str, PersonaVoice]:
        """Personas' own voices, by the persona's name."""
        named = ((loaded.name, loaded.persona.speaks_with) for loaded in self.personas)
        return {name: voice for name, voice in named if voice is not None}

    @property
    def hash(self) -> str:
        """SHA-256 over names and bytes of all files: what is registered before the run."""
        digest = hashlib.sha256()
        for name, data in sorted(self.files.items()):
            digest.update(f"{name}\0{len(data)}\0".encode())
            digest.update(data)
        return digest.hexdigest()

    def to_json(self) -> dict[str, Any]:
        """The study as plain values, for a recording."""
        return {
            "study": self.name,
            "personas": [
                {
                    **persona.persona.model_dump(mode="json", exclude={"skills"}),
                    "catalogue": persona.catalogue and persona.catalogue.model_dump(mode="json"),
                }
                for persona in self.personas
            ],
            "claims": [claim.model_dump(mode="json") for claim in self.claims],
            "sites": [site.model_dump(mode="json") for site in self.sites],
            "exclude": list(self.exclude),
        }


# --- one file ---------------------------------------------------------------------------------


def load_persona(path: Path) -> LoadedPersona:
    """Read a persona's file and the catalogue that it names.

    Raises:
        BadInput: at the first fault.
    """
    return _Shelf(Disk()).persona(path)


def load_catalogue(path: Path) -> Catalogue:
    """Read a catalogue of skills.

    Raises:
        BadInput: at the first fault.
    """
    return _Shelf(Disk()).catalogue(path)


def load_config(path: Path, overrides: Mapping[str, str] | None = None) -> Config:
    """Read a configuration, with settings of the command line laid over it.

    Args:
        path: the YAML file; its relative paths start from its folder.
        overrides: dotted keys and values as typed, such as ``{"speaker.gain": "0"}``; relative
            paths start from the working directory.

    Raises:
        BadInput: at the first fault; one in an override is named ``--set KEY``.
    """
    tree = parse(Disk().read(path), _origin(path))
    _expect("config", path, tree)
    config, document = read(Config, laid_over(tree, written(overrides or {})))
    document.refuse(list(checks.check_config(config)))
    return config


def _origin(path: Path) -> Origin:
    return Origin(str(path), folder=path.parent)


def _kind(tree: Node) -> str | None:
    keys = {entry.key.text for entry in tree.entries} if isinstance(tree, Table) else set()
    return next(
        (kind for kind in ("study", "catalogue", "config", "persona") if kind in keys), None
    )


def _expect(kind: str, path: Path, tree: Node) -> None:
    found = _kind(tree)
    if found not in (None, kind):
        fault = Fault(
            _origin(path), f"found a {found}", f"a {kind}", f"{kind}: NAME in its first line"
        )
        raise error([fault])


def load_as(
    model: type[M],
    path: Path,
    *,
    extends: str | None = None,
    check: Callable[[M], Iterable[Problem]] = lambda _: (),
) -> M:
    """Read any YAML file into a model, as strictly as a study's own files.

    Args:
        model: what the file spells.
        path: the YAML file.
        extends: a key that may name another file, relative to this one, over which this one is
            laid: tables key by key, lists and scalars replaced.
        check: finds what the model itself cannot say.

    Raises:
        BadInput: at the first fault.
    """
    value, document = read(model, _extended(path, extends, ()))
    document.refuse(list(check(value)))
    return value


def _extended(path: Path, extends: str | None, above: tuple[Path, ...]) -> Node:
    tree = parse(Disk().read(path), _origin(path))
    if extends is None or not isinstance(tree, Table):
        return tree
    named = [entry for entry in tree.entries if entry.key.text == extends]
    if not named:
        return tree
    value = named[0].value
    below = _absolute(path.parent / value.text) if isinstance(value, Scalar) else None
    if below is None or below in (*above, _absolute(path)):
        fault = Fault(value.origin, "no file, or itself", "another file", f"{extends}: base.yaml")
        raise error([fault])
    rest = Table(tuple(e for e in tree.entries if e.key.text != extends), tree.origin)
    return overlay(_extended(below, extends, (*above, _absolute(path))), rest)


# --- studies ----------------------------------------------------------------------------------


def load_study(paths: Sequence[Path], config: Config) -> LoadedStudy:
    """Read persona files, folders of them, or one study file, with every control they name.

    Args:
        paths: what the user named.
        config: gives the sites of a study that lists none.

    Raises:
        BadInput: at the first fault in any file.
    """
    return _study(_Shelf(Disk()), paths, config)


def restore_study(files: Mapping[str, bytes], config: Config) -> LoadedStudy:
    """Read a study again from :attr:`LoadedStudy.files`, touching nothing else.

    Raises:
        BadInput: when the files are not those of one study.
    """
    shelf = _Shelf(Recorded(files))
    kinds = {name: _kind(parse(data, Origin(name))) for name, data in sorted(files.items())}
    studies = [Path(name) for name, kind in kinds.items() if kind == "study"]
    personas = [Path(name) for name, kind in kinds.items() if kind == "persona"]
    return _study(shelf, studies or personas, config)


def _study(shelf: _Shelf, paths: Sequence[Path], config: Config) -> LoadedStudy:
    if not paths:
        raise BadInput(
            "no persona; allowed: persona files, folders; example: personas/fashion.yaml"
        )
    declared, document, files = _declared(shelf, paths)
    for path in files:
        shelf.add(path)
    shelf.add_controls()
    shelf.require_one_voice(declared.treatment if declared else "interest")
    personas = shelf.sorted()
    names = [persona.name for persona in personas]
    claims = declared.claims if declared else ()
    stated = declared.exclude if declared else None
    if document:
        document.refuse(list(checks.check_claims(claims, names)))
    return LoadedStudy(
        name=declared.study if declared else _name(personas),
        personas=personas,
        claims=claims or tuple(default_claims(personas, config)),
        sites=(declared.sites if declared else ()) or config.sites,
        exclude=config.exclude if stated is None else stated,
        files=shelf.named(),
    )


def _declared(
    shelf: _Shelf, paths: Sequence[Path]
) -> tuple[Study | None, Document | None, list[Path]]:
    """The study file among ``paths``, if that is what they are, and all persona files."""
    files = list(_expanded(shelf.source, paths, only=("persona",)))
    studies = [path for path in files if _kind(shelf.tree(path)) == "study"]
    if not studies:
        return None, None, files
    if len(files) > 1:
        allowed = "a study file alone, or personas"
        raise error([Fault(_origin(studies[0]), "a study among others", allowed, "study.yaml")])
    tree = shelf.tree(studies[0])
    study, document = shelf.model(Study, studies[0], tree)
    return study, document, list(_members(shelf, study, document))


def _expanded(source: Source, paths: Iterable[Path], only: tuple[str, ...]) -> Iterator[Path]:
    for path in paths:
        inside = source.folder(path)
        if inside is None:
            yield path
        elif not inside:
            allowed = f"a folder with {' or '.join(only)} files (*.yaml)"
            raise BadInput(f"an empty folder; allowed: {allowed}; example: personas/", file=path)
        else:
            yield from inside


def _members(shelf: _Shelf, study: Study, document: Document) -> Iterator[Path]:
    for index, path in enumerate(study.personas):
        if shelf.source.folder(path) is None and not shelf.source.exists(path):
            found = f"no file {shown(path)}"
            place = ("personas", index)
            allowed = "a persona's file or a folder of them, relative to this file"
            document.refuse([Problem(place, found, allowed, "- personas/fashion.yaml")])
    yield from _expanded(shelf.source, study.personas, only=("persona",))


def _name(personas: Sequence[LoadedPersona]) -> str:
    controls = {persona.persona.control for persona in personas}
    leading = [p.name for p in personas if p.name not in controls] or [personas[0].name]
    return leading[0] if len(leading) == 1 else f"{leading[0]}-and-{len(leading) - 1}-more"


@dataclass
class _Shelf:
    """The files of one study as they are read, each once."""

    source: Source
    data: dict[Path, bytes] = field(default_factory=dict)
    trees: dict[Path, Node] = field(default_factory=dict)
    personas: dict[Path, LoadedPersona] = field(default_factory=dict)
    documents: dict[Path, Document] = field(default_factory=dict)

    def tree(self, path: Path) -> Node:
        """The parsed file; its bytes are kept."""
        place = _absolute(path)
        if place not in self.trees:
            self.data[place] = self.source.read(path)
            self.trees[place] = parse(self.data[place], _origin(path))
        return self.trees[place]

    def model(self, model: type[M], path: Path, tree: Node) -> tuple[M, Document]:
        """The checked value of a file."""
        kind = next(name for name, known in FILES.items() if known is model)
        _expect(kind, path, tree)
        value, document = read(model, tree)
        check: Callable[[Any], Iterator[Problem]] = getattr(checks, f"check_{kind}")
        document.refuse(list(check(value)))
        return value, document

    def catalogue(self, path: Path) -> Catalogue:
        return self.model(Catalogue, path, self.tree(path))[0]

    def persona(self, path: Path) -> LoadedPersona:
        persona, document = self.model(Persona, path, self.tree(path))
        catalogue = None
        if persona.skills is not None:
            if not self.source.exists(persona.skills):
                example = "skills: ../skills/fashion.yaml"
                found = f"no file {shown(persona.skills)}"
                allowed = "a catalogue's file, relative to this one"
                document.refuse([Problem(("skills",), found, allowed, example)])
            catalogue = self.catalogue(persona.skills)
        loaded = LoadedPersona(persona, catalogue, path)
        self.documents[_absolute(path)] = document
        return loaded

    def add(self, path: Path) -> None:
        """Put a persona's file on the shelf.

        Raises:
            BadInput: when another file has the same persona.
        """
        place = _absolute(path)
        if place in self.personas:
            return
        loaded = self.persona(path)
        for other in self.personas.values():
            if other.name == loaded.name:
                found = f"persona {shown(loaded.name)} again, already in {other.path}"
                problem = Problem(("persona",), found, "each persona once", "persona: fashion-2")
                self.documents[place].refuse([problem])
        self.personas[place] = loaded

    def add_controls(self) -> None:
        """Bring every persona along that another names as its control and that is not there."""
        waiting = list(self.personas.values())
        while waiting:
            loaded = waiting.pop()
            control = loaded.persona.control
            if control is not None and all(p.name != control for p in self.personas.values()):
                waiting.append(self._control(loaded, control))

    def require_one_voice(self, treatment: str) -> None:
        """Refuse a persona's own voice, unless voices are what the study varies.

        Platforms infer age and sex from a voice: another one is another treatment.
        """
        for place, loaded in self.personas.items():
            if loaded.persona.speaks_with is not None and treatment != "voice":
                found = "a voice of its own, but voices are not what the study varies"
                allowed = "no speaks_with, or a study file that says treatment: voice"
                problem = Problem(("speaks_with",), found, allowed, "treatment: voice")
                self.documents[place].refuse([problem])

    def _control(self, loaded: LoadedPersona, control: str) -> LoadedPersona:
        beside = [loaded.path.parent / f"{control}{suffix}" for suffix in SUFFIXES]
        path = next((file for file in beside if self.source.exists(file)), None)
        document = self.documents[_absolute(loaded.path)]
        if path is None:
            raise error([document.fault(self._no_control(loaded, control, str(beside[0])))])
        self.add(path)
        found = self.personas[_absolute(path)]
        if found.name != control:
            document.refuse([self._no_control(loaded, control, f"persona: {control} in {path}")])
        return found

    def _no_control(self, loaded: LoadedPersona, control: str, missing: str) -> Problem:
        files = self.source.folder(loaded.path.parent) or []
        known = [file.stem for file in files if file.stem != loaded.path.stem]
        found = f"control {shown(control)}, but there is no {missing}{suggestion(control, known)}"
        allowed = "a persona whose file is beside this one or given too"
        return Problem(("control",), found, allowed, "control: vanilla")

    def sorted(self) -> tuple[LoadedPersona, ...]:
        """The personas in an order that does not depend on how they were named."""
        controls = {loaded.persona.control for loaded in self.personas.values()}
        order = sorted((p.name in controls, p.name, p) for p in self.personas.values())
        return tuple(persona for _, _, persona in order)

    def named(self) -> dict[str, bytes]:
        """Every file read, by its path below the deepest folder that holds all of them."""
        root = os.path.commonpath([path.parent for path in self.data])
        return {path.relative_to(root).as_posix(): self.data[path] for path in sorted(self.data)}


def _absolute(path: Path) -> Path:
    return Path(os.path.normpath(path.absolute()))
