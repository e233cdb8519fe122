#!/bin/sh
# The compiler for our own crates, with counters.
exec "$@" -C instrument-coverage
