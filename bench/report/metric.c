#include "bench/report/metric.h"

static const struct metric_info table[METRICS] = {
	[METRIC_MPPS] = {"mpps", "Mpps", 2, true, true},
	[METRIC_GBPS] = {"gbps", "Gbit/s", 2, true, true},
	[METRIC_CYCLES] = {"cycles_per_packet", "cycles/packet", 1, true, true},
	[METRIC_BUSY] = {"busy_pct", "busy%", 0, false, false},
	[METRIC_NDR] = {"ndr_mpps", "NDR", 2, true, true},
	[METRIC_PDR] = {"pdr_mpps", "PDR", 2, true, true},
	[METRIC_CPU] = {"cpu_pct", "CPU%", 2, true, false},
	[METRIC_LOSS] = {"loss_pct", "loss%", 4, false, false},
	[METRIC_LEARNED] = {"learned_pct", "learned%", 1, false, false},
	[METRIC_RSS_ANON] = {"rss_anon_mb", "anon MB", 1, true, true},
	[METRIC_RSS_SHARED] = {"rss_shared_mb", "shared MB", 1, false, false},
	[METRIC_LATENCY_P50] = {"latency_p50_us", "p50 us", 2, true, true},
	[METRIC_LATENCY_P99] = {"latency_p99_us", "p99 us", 2, true, true},
	[METRIC_LATENCY_P999] = {"latency_p999_us", "p99.9 us", 1, false, false},
	[METRIC_LATENCY_MAX] = {"latency_max_us", "max us", 0, false, false},
	[METRIC_LATENCY_TAIL] = {"latency_tail", "p99/p50", 2, false, false},
	[METRIC_ANSWERS] = {"answers_per_s", "answers/s", 0, true, true},
	[METRIC_ANSWER] = {"us_per_answer", "us/answer", 2, true, true},
	[METRIC_OFFERED] = {"offered_over_peak", "offered/peak", 2, false, false},
	[METRIC_OF_PEAK] = {"answers_over_peak", "answers/peak", 2, true, false},
	[METRIC_EACH] = {"bytes_each", "B each", 0, false, false},
	[METRIC_PARKED] = {"parked_mb", "parked MB", 1, false, false},
	[METRIC_PROBES] = {"probes_per_s", "probes/s", 0, false, false},
	[METRIC_PROBE] = {"control_us_per_probe", "us/probe", 1, true, true},
	[METRIC_CONTROL] = {"control_pct", "control%", 1, true, false},
	[METRIC_LATE_P99] = {"late_p99_ms", "late p99", 0, false, false},
	[METRIC_LATE_MAX] = {"late_max_ms", "late max", 0, false, false},
	[METRIC_LATE] = {"late_over_50ms", ">50 ms", 0, false, false},
	[METRIC_CHANGES] = {"changes", "changes", 0, false, false},
	[METRIC_CHANGE] = {"change_ms", "ms each", 2, false, true},
	[METRIC_BLOCKED] = {"blocked_ms", "blocked", 3, true, false},
	[METRIC_GAP_P999] = {"gap_p999_us", "gap p99.9", 1, true, false},
	[METRIC_GAP_MAX] = {"gap_max_us", "gap max", 0, false, false},
	[METRIC_GAP_ADDED] = {"gap_added_us", "added", 1, true, false},
	[METRIC_BESIDE] = {"latency_p99_over_quiet", "p99/quiet", 2, true, false},
	[METRIC_BALANCER] = {"us_per_request", "us/request", 1, true, true},
	[METRIC_BALANCING] = {"balancing_us_per_request", "balancing", 2, true, true},
	[METRIC_LOSS_ADDED] = {"loss_added_pct", "added%", 4, false, false},
};

const struct metric_info *metric_info(enum metric metric)
{
	return &table[metric];
}
