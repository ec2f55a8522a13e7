
/*
 * Appended to kernel/cgroup/cpuset.c (scripts/kernel): what the scheduler answers where there is one processor. The
 * kernel's authors saw no use for sets of processors there; their files work as ever.
 */
int cpuset_cpumask_can_shrink(const struct cpumask *now, const struct cpumask *wanted) { return 1; }
int task_can_attach(struct task_struct *task) { return task->flags & PF_NO_SETAFFINITY ? -EINVAL : 0; }
int dl_bw_alloc(int cpu, u64 share) { return 0; }
void dl_bw_free(int cpu, u64 share) {}
