#!/usr/bin/env bash
# N random graphs (300) through random passes, against the scalar references. A graph that fails is
# left in $BUILD/tests/out.
BUILD=$(realpath -m "${BUILD:-build}")
mkdir -p "$BUILD/tests/out"
OUT=$BUILD/tests/out "$BUILD/tests/diff/random_graphs" "${N:-300}"
