#pragma once

/* The Content-Type of a file, by its ending; "application/octet-stream" where none is known. */
const char *type_of_file(const char *file);
