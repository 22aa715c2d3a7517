/*
 * sorted.h: an array of pointers kept in order. Look-up is a binary search, a change moves pointers only;
 * what a list prints or the sink is given is the array itself.
 */
#pragma once

#include <stddef.h>

struct sorted {
	void **item;
	size_t count, room;
};

/** Negative, 0 or positive as the item comes before, at or after the key. */
typedef int (*sorted_cmp)(const void *item, const void *key);

/** The item equal to `key`, NULL if there is none. */
void *sorted_find(const struct sorted *list, sorted_cmp cmp, const void *key);
/** The index of the first item behind `key`, the count when there is none. */
size_t sorted_after(const struct sorted *list, sorted_cmp cmp, const void *key);
/** That of the first item at or behind it. */
size_t sorted_from(const struct sorted *list, sorted_cmp cmp, const void *key);
/** Room for so many more: inserting these cannot fail. -ENOMEM. */
int sorted_reserve(struct sorted *list, size_t more);
/** `key` is the item's own key and in no item yet. -ENOMEM. */
int sorted_insert(struct sorted *list, sorted_cmp cmp, const void *key, void *item);
/** Takes out the item equal to `key`, which is there. */
void sorted_remove(struct sorted *list, sorted_cmp cmp, const void *key);
/** Takes out `n` items from index `first` on. */
void sorted_cut(struct sorted *list, size_t first, size_t n);
/** Frees the array, not the items. */
void sorted_clear(struct sorted *list);
