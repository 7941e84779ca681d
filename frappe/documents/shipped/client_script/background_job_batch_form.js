// The form of a batch: a bar of its jobs that have ended, and those that failed in it.
frappe.ui.form.on("Background Job Batch", {
	refresh(frm) {
		const { total, done, failed } = frm.doc;
		if (frm.is_new() || !total) return;
		const part = (n, progress_class) => ({ title: `${n}/${total}`, width: `${(100 * n) / total}%`, progress_class });
		const parts = [part(done, "progress-bar-success"), part(failed, "progress-bar-danger")];
		frm.dashboard.add_progress(__("Progress"), parts, `${done + failed}/${total}`);
	},
});
