#include "control/model/port_rate.h"

#include "control/base/params.h"
#include "control/base/quantity.h"
#include "control/base/result.h"

enum { STORM_DEFAULT = 10000 };

/* bit/s, bytes */
#define RATE_MIN UINT64_C(8000)
#define RATE_MAX UINT64_C(1000000000000)
#define BURST_MIN UINT64_C(1500)
#define BURST_MAX UINT64_C(4000000000)

/* The names of one direction's fields. */
struct names {
	const char *rate, *burst, *packets, *packet_burst;
};

static const struct names in_names = {"rate_in", "burst_in", "pps_in", "packet_burst_in"},
			  out_names = {"rate_out", "burst_out", "pps_out", "packet_burst_out"};

void port_rate_default(struct dp_port *spec)
{
	spec->in = (struct dp_rate){0};
	spec->out = (struct dp_rate){0};
	spec->storm_pps = STORM_DEFAULT;
}

/* 0, or min..max. */
static int read_quantity(const json_t *params, const char *field, uint64_t min, uint64_t max, uint64_t *value,
	struct api_err *err)
{
	char least[QUANTITY_TEXT], most[QUANTITY_TEXT];
	uint64_t given = *value;

	if (param_given(params, field))
		quantity_read(json_object_get(params, field), &given);
	if (given && (given < min || given > max))
		return api_fail(err, API_INVALID, field, "out of range %s..%s, and not 0 for none",
			quantity_text(min, least), quantity_text(max, most));
	*value = given;
	return 0;
}

/* A burst means nothing without its rate. */
static int check_burst(const json_t *params, const char *field, uint64_t burst, const char *rate,
	bool has_rate, struct api_err *err)
{
	if (has_rate || !burst || !param_given(params, field))
		return 0;
	return api_fail(err, API_INVALID, field, "needs %s", rate);
}

static int read_direction(
	const json_t *params, const struct names *names, struct dp_rate *rate, struct api_err *err)
{
	if (read_quantity(params, names->rate, RATE_MIN, RATE_MAX, &rate->bits, err) < 0 ||
		read_quantity(params, names->burst, BURST_MIN, BURST_MAX, &rate->burst, err) < 0)
		return -1;
	rate->packets = (uint32_t)param_int(params, names->packets, rate->packets);
	rate->packet_burst = (uint32_t)param_int(params, names->packet_burst, rate->packet_burst);
	if (check_burst(params, names->burst, rate->burst, names->rate, rate->bits, err) < 0 ||
		check_burst(params, names->packet_burst, rate->packet_burst, names->packets, rate->packets,
			err) < 0)
		return -1;
	if (!rate->bits)
		rate->burst = 0; /* it goes with its rate */
	if (!rate->packets)
		rate->packet_burst = 0;
	return 0;
}

int port_rate_read(const json_t *params, struct dp_port *spec, struct api_err *err)
{
	struct dp_rate in = spec->in, out = spec->out;

	if (read_direction(params, &in_names, &in, err) < 0 ||
		read_direction(params, &out_names, &out, err) < 0)
		return -1;
	spec->in = in;
	spec->out = out;
	spec->storm_pps = (uint32_t)param_int(params, "storm_pps", spec->storm_pps);
	return 0;
}

static void put_direction(json_t *object, const struct names *names, const struct dp_rate *rate)
{
	char text[QUANTITY_TEXT];

	put_str(object, names->rate, quantity_text(rate->bits, text));
	put_str(object, names->burst, quantity_text(rate->burst, text));
	put_int(object, names->packets, rate->packets);
	put_int(object, names->packet_burst, rate->packet_burst);
}

void port_rate_json(const struct dp_port *spec, json_t *object)
{
	put_int(object, "storm_pps", spec->storm_pps);
	put_direction(object, &in_names, &spec->in);
	put_direction(object, &out_names, &spec->out);
}
