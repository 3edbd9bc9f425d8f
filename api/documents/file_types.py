"""What a file is by its name, and which chunk method such files get."""

from pathlib import PurePosixPath

_BY_TYPE = {
    "pdf": "pdf",
    "doc": "msg eml doc docx ppt pptx yml xml htm json jsonl ldjson csv txt ini xls xlsx wps rtf hlp pages numbers key "
    "md mdx py js java c cpp h php go ts sh cs kt html sql",
    "aural": "wav flac ape alac wavpack wv mp3 aac ogg vorbis opus",
    "visual": "jpg jpeg png tif gif pcx tga exif fpx svg psd cdr pcd dxf ufo eps ai raw webp avif apng icon ico mpg "
    "mpeg avi rm rmvb mov wmv asf dat asx wvx mpe mpa mp4 mkv",
}
_TYPE_OF = {extension: kind for kind, extensions in _BY_TYPE.items() for extension in extensions.split()}


def suffix_of(name: str) -> str:
    """The extension without its dot, letter case kept; "" without one."""
    return PurePosixPath(name).suffix.removeprefix(".")


def file_type(name: str) -> str | None:
    """`pdf`, `doc`, `aural`, `visual`; None for a type that datasets do not take."""
    return _TYPE_OF.get(suffix_of(name).lower())


def method_for(name: str, kind: str, dataset_method: str) -> str:
    """The chunk method of a new document: some types have their own, others take the dataset's."""
    if kind == "visual":
        return "picture"
    if kind == "aural":
        return "audio"
    if name.lower().endswith((".ppt", ".pptx", ".pages")):
        return "presentation"
    if name.lower().endswith((".msg", ".eml")):
        return "email"
    return dataset_method
