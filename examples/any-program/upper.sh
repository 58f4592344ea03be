#!/bin/sh
# No headers at all: then what a program prints is the answer, as plain text.
tr '[:lower:]' '[:upper:]'
