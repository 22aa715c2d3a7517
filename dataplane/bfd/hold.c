#include "dataplane/bfd/hold.h"

bool hold_decide(struct hold_peer *const *peers, unsigned n, uint64_t now)
{
	unsigned all = 0, lost = 0;
	bool hold;

	for (unsigned i = 0; i < n; i++) {
		if (!peers[i] || !peers[i]->seen)
			continue;
		if (!peers[i]->lost_at)
			peers[i]->sure = false;
		all += !peers[i]->sure;
		lost += peers[i]->lost_at && !peers[i]->sure;
	}
	hold = lost >= HOLD_LEAST && lost * 100 > all * HOLD_PERCENT;
	for (unsigned i = 0; i < n; i++) {
		struct hold_peer *p = peers[i];

		if (!p)
			continue;
		p->cut = p->seen && p->lost_at && (p->sure || !hold);
		p->sure = p->cut && (p->sure || now - p->lost_at >= HOLD_WINDOW_US);
	}
	return hold;
}
