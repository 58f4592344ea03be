#pragma once

/* An intrusive, circular, doubly linked list. A node that is in no list points at itself, so
 * list_remove() may be called on it any number of times. Context: async-signal-safe. */

#include "base/def.h"

struct list {
    struct list *next;
    struct list *prev;
};

static inline void list_init(struct list *l)
{
    l->next = l->prev = l;
}

static inline bool list_is_empty(const struct list *l)
{
    return l->next == l;
}

static inline void list_insert_before(struct list *where, struct list *node)
{
    node->prev = where->prev;
    node->next = where;
    where->prev->next = node;
    where->prev = node;
}

static inline void list_add_last(struct list *head, struct list *node)
{
    list_insert_before(head, node);
}

static inline void list_add_first(struct list *head, struct list *node)
{
    list_insert_before(head->next, node);
}

static inline void list_remove(struct list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

/* The first node, or NULL. */
static inline struct list *list_first(struct list *head)
{
    return list_is_empty(head) ? NULL : head->next;
}

#define list_entry(node, type, member) container_of(node, type, member)

/* `iter` is a struct list pointer; the _safe form allows removal of iter itself. */
#define list_for_each(iter, head)                                                                  \
    for ((iter) = (head)->next; (iter) != (head); (iter) = (iter)->next)

#define list_for_each_safe(iter, tmp, head)                                                        \
    for ((iter) = (head)->next, (tmp) = (iter)->next; (iter) != (head);                            \
         (iter) = (tmp), (tmp) = (iter)->next)
