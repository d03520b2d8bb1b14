"""One folder per person, named as the person is."""

from pathlib import Path

from passerby.data.columns import parse_value
from passerby.data.crops import Crops
from passerby.datasets.file_names import cameras_of, image_files, sub_folders
from passerby.datasets.problems import Problems, list_few
from passerby.datasets.unrecognized import has_foreign_layout, names_no_person
from passerby.errors import InputError


class PersonFolders:
    """One folder of crops per person: `alice/1.jpg`."""

    name = "person_folders"
    title = "one folder per person"
    layout = "PERSON/*.jpg"
    terms = ""
    splits = ("train",)
    scored = ("train",)
    protocol = "course"

    def recognizes(self, folder: Path) -> bool:
        if not folder.is_dir() or image_files(folder) or has_foreign_layout(folder):
            return False
        filled = [sub for sub in sub_folders(folder) if image_files(sub)]
        return bool(filled) and not any(names_no_person(sub.name) for sub in filled)

    def read(self, folder: Path, split: str, problems: Problems) -> Crops:
        """Read all crops; cameras are taken from the file names if every name tells one."""
        paths: list[Path] = []
        persons: list[str] = []
        empty: list[str] = []
        for person in sub_folders(folder):
            images = image_files(person)
            if not images:
                empty.append(person.name)
                continue
            try:
                name = parse_value("person", person.name, str(folder))
            except InputError as error:
                problems.add(f"{str(error).removesuffix('.')}: rename the folder.")
                continue
            paths += images
            persons += [name] * len(images)
            if inner := [f"{person.name}/{sub.name}" for sub in sub_folders(person)]:
                problems.remark(f"{folder}: the folder {list_few(inner)} is passed over.")
        if empty:
            problems.add(f"{folder}: no image in folder {list_few(empty)}: add crops or remove it.")
        return Crops(paths, person=persons, camera=cameras_of(paths))
