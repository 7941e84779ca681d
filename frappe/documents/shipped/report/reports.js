// What the reports share: each of them begins with this.
frappe.provide("background_jobs");
background_jobs.report = {
	// Frappe translates the names of filters, but not those of a Query Report's columns; showTotalRow has it make the table
	// anew at each refresh, which would put the columns' own names back.
	get_datatable_options(options) {
		for (const column of options.columns || []) column.name = __(column.name);
		return Object.assign(options, { showTotalRow: false });
	},
};
background_jobs.report_of_days = () => ({
	...background_jobs.report,
	filters: [
		// The rows are in the site's time.
		{ fieldname: "from_date", label: __("From Date"), fieldtype: "Date", reqd: 1, default: frappe.datetime.add_days(frappe.datetime.system_datetime(), -1) },
		{ fieldname: "to_date", label: __("To Date"), fieldtype: "Date", reqd: 1, default: frappe.datetime.add_days(frappe.datetime.system_datetime(), 0) },
	],
	formatter: (value, row, column, data, format) => format(value, row, Object.assign(column, { precision: "1" }), data),
});
