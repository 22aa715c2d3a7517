#include <event2/buffer.h>
#include <string.h>

#include "control/metrics/metrics.h"

void metrics_family(struct evbuffer *out, const char *name, enum metrics_kind kind, const char *help)
{
	static const char *const kinds[] = {
		[METRICS_GAUGE] = "gauge", [METRICS_COUNTER] = "counter", [METRICS_HISTOGRAM] = "histogram"};

	evbuffer_add_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kinds[kind]);
}

/* The text between quotes, with what the format wants escaped. */
static void put_label(struct evbuffer *out, const char *label, const char *text)
{
	evbuffer_add_printf(out, "%s=\"", label);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			evbuffer_add_printf(out, "\\%c", *text);
		else if (*text == '\n')
			evbuffer_add_printf(out, "\\n");
		else
			evbuffer_add(out, text, 1);
	}
	evbuffer_add(out, "\"", 1);
}

void metrics_value(struct evbuffer *out, const char *name, const char *label, const char *text,
	const char *label2, const char *text2, double value)
{
	evbuffer_add_printf(out, "%s", name);
	if (label) {
		evbuffer_add(out, "{", 1);
		put_label(out, label, text);
		if (label2) {
			evbuffer_add(out, ",", 1);
			put_label(out, label2, text2);
		}
		evbuffer_add(out, "}", 1);
	}
	evbuffer_add_printf(out, " %.17g\n", value);
}

void metrics_single(
	struct evbuffer *out, const char *name, enum metrics_kind kind, const char *help, double value)
{
	metrics_family(out, name, kind, help);
	metrics_value(out, name, NULL, NULL, NULL, NULL, value);
}

uint64_t metrics_counter_of(const struct metrics_counter *counter, const void *info)
{
	uint64_t value;

	memcpy(&value, (const char *)info + counter->at, sizeof(value));
	return value;
}
