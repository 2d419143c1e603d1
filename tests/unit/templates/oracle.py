#!/usr/bin/env python3
"""What python-jinja2 makes of templates: writes the expected results of test_chat_template.

    oracle.py language LANGUAGE.jsonl                 the cases with what is expected
    oracle.py templates FOLDER CONVERSATIONS.jsonl    template, conversation, hash or error
    oracle.py render TEMPLATE CONVERSATIONS.jsonl CASE    one text

A line of the files is a JSON object whose members are the template's variables.
"""
import datetime
import functools
import json
import pathlib
import sys

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

NOW = 1700000000  # as test_chat_template.c has it


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators,
                      sort_keys=sort_keys)


def strftime_now(form):
    return datetime.datetime.fromtimestamp(NOW, datetime.timezone.utc).strftime(form)


@functools.lru_cache
def compile_template(source):
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True,
                                                extensions=["jinja2.ext.loopcontrols"])
    environment.filters["tojson"] = tojson
    environment.globals.update(raise_exception=raise_exception, strftime_now=strftime_now)
    return environment.from_string(source)


def render(source, variables):
    """The text, or None and the error: the message of raise_exception, "" for any other."""
    try:
        text = compile_template(source).render(**variables)
        text.encode()
        return text, None
    except Exception as error:
        raised = type(error) is jinja2.exceptions.TemplateError
        return None, str(error) if raised else ""


def read_lines(path):
    return [json.loads(line) for line in open(path, encoding="utf-8")]


def variables_of(line):
    return {"messages": [], "tools": None, "documents": None, "bos_token": "<s>",
            "eos_token": "</s>", "add_generation_prompt": False, **line}


def fnv1a(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return value


def main():
    mode, path = sys.argv[1:3]
    if mode == "language":
        for case in read_lines(path):
            case.pop("expected", None)
            case.pop("error", None)
            text, error = render(case["template"], variables_of(case))
            case["expected" if error is None else "error"] = text if error is None else error
            print(json.dumps(case, ensure_ascii=False))
        return
    conversations = read_lines(sys.argv[3])
    templates = sorted(pathlib.Path(path).glob("*.jinja")) if mode == "templates" else []
    for template in templates or [pathlib.Path(path)]:
        for line in conversations:
            text, error = render(template.read_text(encoding="utf-8"), variables_of(line))
            result = f"{fnv1a(text.encode()):016x}" if error is None else f"error {error}".strip()
            if mode == "templates":
                print(template.name, line["case"], json.dumps(result, ensure_ascii=False), sep="\t")
            elif line["case"] == sys.argv[4]:
                sys.stdout.write(text if error is None else "error: " + error)


main()
