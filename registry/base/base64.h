/* base64.h: bytes as text of JSON (RFC 4648, section 4), by OpenSSL. Pure. */
#pragma once

#include <stddef.h>

/** The bytes in base64, to be freed; NULL: no memory. */
char *base64_text(const void *bytes, size_t len);
/** What base64 stands for with a 0 behind it, to be freed. -EINVAL: it is none; -ENOMEM. */
int base64_bytes(const char *base64, char **bytes, size_t *len);
