#include "registry/base/sorted.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Index of the first item that does not come before `key`. */
static size_t lower_bound(const struct sorted *list, sorted_cmp cmp, const void *key)
{
	size_t low = 0, high = list->count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (cmp(list->item[mid], key) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

size_t sorted_from(const struct sorted *list, sorted_cmp cmp, const void *key)
{
	return lower_bound(list, cmp, key);
}

size_t sorted_after(const struct sorted *list, sorted_cmp cmp, const void *key)
{
	size_t at = lower_bound(list, cmp, key);

	return at + (at < list->count && cmp(list->item[at], key) == 0);
}

void *sorted_find(const struct sorted *list, sorted_cmp cmp, const void *key)
{
	size_t at = lower_bound(list, cmp, key);

	return at < list->count && cmp(list->item[at], key) == 0 ? list->item[at] : NULL;
}

int sorted_reserve(struct sorted *list, size_t more)
{
	size_t room = list->room ? list->room : 4;
	void **grown;

	while (room < list->count + more)
		room *= 2;
	if (room == list->room)
		return 0;
	grown = reallocarray(list->item, room, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	list->item = grown;
	list->room = room;
	return 0;
}

int sorted_insert(struct sorted *list, sorted_cmp cmp, const void *key, void *item)
{
	size_t at;

	if (sorted_reserve(list, 1) < 0)
		return -ENOMEM;
	at = lower_bound(list, cmp, key);
	memmove(list->item + at + 1, list->item + at, (list->count - at) * sizeof(*list->item));
	list->item[at] = item;
	list->count++;
	return 0;
}

void sorted_remove(struct sorted *list, sorted_cmp cmp, const void *key)
{
	size_t at = lower_bound(list, cmp, key);

	assert(at < list->count && cmp(list->item[at], key) == 0);
	list->count--;
	memmove(list->item + at, list->item + at + 1, (list->count - at) * sizeof(*list->item));
	if (list->count == 0)
		sorted_clear(list);
}

void sorted_cut(struct sorted *list, size_t first, size_t n)
{
	memmove(list->item + first, list->item + first + n, (list->count - first - n) * sizeof(*list->item));
	list->count -= n;
	if (list->count == 0)
		sorted_clear(list);
}

void sorted_clear(struct sorted *list)
{
	free(list->item);
	*list = (struct sorted){0};
}
