#include "bench/report/plot.h"

#include <err.h>
#include <errno.h>
#include <linux/limits.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "bench/traffic/traffic.h"

enum axis { BY_COUNT, BY_VARIANT };

/* One picture: a line for each peer and metric, the medians and, as bars, the least and greatest value. */
struct picture {
	const char *name, *scenario, *title, *x, *y;
	enum axis axis;
	bool log_x, log_y;
	enum metric metric[3];
	unsigned metrics;
};

static const struct picture pictures[] = {
	{"l2-mpps", "l2", "L2 throughput by number of MAC pairs", "pairs, in random order", "Mpps", BY_COUNT,
		true, false, {METRIC_MPPS}, 1},
	{"l2-cycles", "l2", "L2: cycles of the worker for a packet", "pairs, in random order",
		"cycles a packet", BY_COUNT, true, true, {METRIC_CYCLES}, 1},
	{"ports-cycles", "ports", "What idle ports cost two busy ones", "ports attached", "cycles a packet",
		BY_COUNT, true, false, {METRIC_CYCLES}, 1},
	{"latency", "latency", "Latency through the switch, one way", "load", "us", BY_VARIANT, false, true,
		{METRIC_LATENCY_P50, METRIC_LATENCY_P99, METRIC_LATENCY_P999}, 3},
	{"flood-mpps", "flood", "Broadcasts: copies delivered", "ports", "Mpps", BY_COUNT, true, false,
		{METRIC_MPPS}, 1},
};

enum { PICTURES = sizeof(pictures) / sizeof(pictures[0]) };

static bool shows(const struct picture *p, const struct report *r, unsigned trial)
{
	return strcmp(r->trials[trial].kind.scenario, p->scenario) == 0 && report_first_of_kind(r, trial);
}

static void write_point(FILE *file, const struct picture *p, const struct kind *kind, struct spread *s)
{
	if (s->n == 0)
		return;
	if (p->axis == BY_COUNT)
		fprintf(file, "%u", kind->count);
	else
		fprintf(file, "\"%s\"", kind->variant);
	fprintf(file, " %g %g %g\n", spread_median(s), spread_min(s), spread_max(s));
}

/* The data block of one size, variant (by count), peer and metric. Returns how many points it has. */
static unsigned write_block(FILE *file, const struct picture *p, const struct report *r,
	const struct kind *like, const char *peer, enum metric metric, unsigned block)
{
	static struct report_summary s;
	unsigned points = 0;

	fprintf(file, "$d%u << end\n", block);
	for (unsigned i = 0; i < r->n_trials; i++) {
		const struct kind *kind = &r->trials[i].kind;

		if (!shows(p, r, i) || kind->size != like->size ||
			(p->axis == BY_COUNT ? strcmp(kind->variant, like->variant) != 0
					     : kind->count != like->count))
			continue;
		report_summarize(r, kind, peer, &s);
		points += s.value[metric].n > 0;
		write_point(file, p, kind, &s.value[metric]);
	}
	fprintf(file, "end\n");
	return points;
}

static void write_title(char *title, size_t size, const struct picture *p, const struct kind *kind,
	const char *peer, enum metric m)
{
	char bytes[16] = "imix";

	if (kind->size != TRAFFIC_IMIX)
		snprintf(bytes, sizeof(bytes), "%u B", kind->size);
	snprintf(title, size, "%s, %s%s%s%s%s", peer, bytes,
		*kind->variant && p->axis == BY_COUNT ? ", " : "", p->axis == BY_COUNT ? kind->variant : "",
		p->metrics > 1 ? ", " : "", p->metrics > 1 ? metric_info(m)->heading : "");
}

/* True when trial `i` is the first of its line: of a size and variant (by count), or of a size and count. */
static bool first_of_line(const struct picture *p, const struct report *r, unsigned i)
{
	for (unsigned k = 0; k < i; k++) {
		const struct kind *a = &r->trials[k].kind, *b = &r->trials[i].kind;

		if (shows(p, r, k) && a->size == b->size &&
			(p->axis == BY_COUNT ? strcmp(a->variant, b->variant) == 0 : a->count == b->count))
			return false;
	}
	return shows(p, r, i);
}

static void write_setup(FILE *file, const struct picture *p)
{
	fprintf(file,
		"set title \"%s\"\nset xlabel \"%s\"\nset ylabel \"%s\"\nset grid\nset key outside right\n"
		"set style data yerrorlines\n%s%s%s",
		p->title, p->x, p->y, p->log_x && p->axis == BY_COUNT ? "set logscale x\n" : "",
		p->log_y ? "set logscale y\n" : "set yrange [0:*]\n",
		p->axis == BY_VARIANT ? "set offsets 0.5, 0.5, 0, 0\n" : "");
}

static void write_plots(FILE *file, const struct picture *p, const char *dir, const char *lines)
{
	static const struct {
		const char *suffix, *terminal;
	} kind[] = {{"svg", "svg size 800,480 background rgb \"white\""}, {"png", "pngcairo size 1200,720"}};

	for (unsigned i = 0; i < 2; i++)
		fprintf(file, "set terminal %s\nset output \"%s/%s.%s\"\nplot %s\n", kind[i].terminal, dir,
			p->name, kind[i].suffix, lines);
}

/* Writes the whole script; false when the report has nothing for it. */
static bool write_script(FILE *file, const struct picture *p, const struct report *r, const char *dir)
{
	char lines[8192] = "", title[128];
	unsigned block = 0;
	size_t used = 0;

	write_setup(file, p);
	for (unsigned i = 0; i < r->n_trials; i++) {
		const struct kind *kind = &r->trials[i].kind;

		if (!first_of_line(p, r, i))
			continue;
		for (unsigned k = 0; k < r->n_peers * p->metrics; k++) {
			const char *peer = r->peers[k / p->metrics].name;
			enum metric m = p->metric[k % p->metrics];

			if (write_block(file, p, r, kind, peer, m, block++) < 2 || used > sizeof(lines) - 256)
				continue;
			write_title(title, sizeof(title), p, kind, peer, m);
			used += (size_t)snprintf(lines + used, sizeof(lines) - used,
				"%s$d%u using %s title \"%s\"", used ? ", " : "", block - 1,
				p->axis == BY_COUNT ? "1:2:3:4" : "0:2:3:4:xtic(1)", title);
		}
	}
	if (used > 0)
		write_plots(file, p, dir, lines);
	return used > 0;
}

static int run_gnuplot(const char *script)
{
	char *argv[] = {"gnuplot", (char *)script, NULL};
	extern char **environ;
	int status = 0;
	pid_t pid;
	int rc = posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ);

	if (rc != 0) {
		warnx("--plot: gnuplot: %s (Debian package gnuplot-nox)", strerror(rc));
		return -1;
	}
	if (waitpid(pid, &status, 0) < 0 || status != 0) {
		warnx("--plot: gnuplot does not draw %s", script);
		return -1;
	}
	return 0;
}

static int draw(const struct report *r, const struct picture *p, const char *dir)
{
	char path[PATH_MAX];
	bool any;
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s.gp", dir, p->name);
	file = fopen(path, "we");
	if (!file) {
		warn("--plot: %s", path);
		return -1;
	}
	any = write_script(file, p, r, dir);
	if (fclose(file) != 0) {
		warn("--plot: %s", path);
		return -1;
	}
	if (any)
		return run_gnuplot(path);
	remove(path);
	return 0;
}

int plot_report(const struct report *r, const char *dir)
{
	int rc = 0;

	if (mkdir(dir, 0777) < 0 && errno != EEXIST) {
		warn("--plot: %s", dir);
		return -1;
	}
	for (const struct picture *p = pictures; p < pictures + PICTURES && rc == 0; p++)
		rc = draw(r, p, dir);
	return rc;
}
