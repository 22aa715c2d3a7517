/* error.h: why a command of a plugin fails: CNI's number for it (CNI 1.1.0, "Error") and one line. */
#pragma once

enum cni_code {
	CNI_OK,
	CNI_INCOMPATIBLE_VERSION = 1,
	CNI_UNSUPPORTED_FIELD = 2,
	CNI_BAD_ENVIRONMENT = 4,
	CNI_IO = 5,
	CNI_DECODE = 6,
	CNI_BAD_CONF = 7,
	CNI_TRY_AGAIN = 11,
	CNI_NOT_AVAILABLE = 50,
	CNI_LIMITED = 51, /* nor do containers that are there reach each other */
	CNI_EXISTS = 100,
	CNI_DIFFERS = 101, /* what is there is not what ADD has made */
};

enum { CNI_TEXT = 768 };

struct cni_err {
	enum cni_code code;
	char text[CNI_TEXT];
};

/** Fills `err`; returns -1. */
int cni_fail(struct cni_err *err, enum cni_code code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
