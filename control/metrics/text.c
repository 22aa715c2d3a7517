#include <event2/buffer.h>
#include <stdbool.h>
#include <string.h>

#include "control/metrics/metrics.h"

static void put_head(struct metrics *m, const char *name, const char *kind, const char *help)
{
	m->family = name;
	evbuffer_add_printf(m->out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind);
}

void metrics_family(struct metrics *m, const char *name, const char *help)
{
	static const char total[] = "_total";
	size_t len = strlen(name), end = sizeof(total) - 1;
	bool counter = len > end && !strcmp(name + len - end, total);

	put_head(m, name, counter ? "counter" : "gauge", help);
}

void metrics_histogram(struct metrics *m, const char *name, const char *help)
{
	put_head(m, name, "histogram", help);
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

void metrics_labelled(struct metrics *m, const struct metrics_label *labels, size_t n, double value)
{
	evbuffer_add_printf(m->out, "%s", m->family);
	for (size_t i = 0; i < n; i++) {
		evbuffer_add(m->out, i ? "," : "{", 1);
		put_label(m->out, labels[i].label, labels[i].text);
	}
	evbuffer_add_printf(m->out, "%s %.17g\n", n ? "}" : "", value);
}

void metrics_value2(struct metrics *m, const char *label, const char *text, const char *label2,
	const char *text2, double value)
{
	const struct metrics_label labels[] = {{label, text}, {label2, text2}};

	metrics_labelled(m, labels, label ? label2 ? 2 : 1 : 0, value);
}

void metrics_value(struct metrics *m, const char *label, const char *text, double value)
{
	metrics_value2(m, label, text, NULL, NULL, value);
}

void metrics_single(struct metrics *m, const char *name, const char *help, double value)
{
	metrics_family(m, name, help);
	metrics_value(m, NULL, NULL, value);
}

double metrics_counter_of(const struct metrics_counter *counter, const void *info)
{
	uint64_t value;

	memcpy(&value, (const char *)info + counter->at, sizeof(value));
	return (double)value;
}
